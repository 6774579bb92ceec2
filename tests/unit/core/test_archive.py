from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.archive import (
    ALLOWLIST,
    END,
    SUMS,
    Archive,
    ArchivedFile,
    header,
    is_known,
    is_wheel,
    next_header,
    padding,
    parse_archive,
    required_python,
    wheels_of,
)
from glue_pkgmgr.core.lockfile import LockedFile
from glue_pkgmgr.errors import NotInstallable
from tests.integration.local.made_distributions import wheel
from tests.made_archives import ACME, DEP, Made, carried_lock, carried_wheel, made_archive, made_pin, tar

LOCK = "pylock.taxi-glue-5-1.toml"
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,120}[a-z0-9])?/[A-Za-z0-9_.+!-]{1,120}\.whl", fullmatch=True)
SIZES = st.integers(0, 8**11 - 1)


def taker(content: bytes) -> Callable[[int], bytes]:
    stream = io.BytesIO(content)

    def take(size: int) -> bytes:
        taken = stream.read(size)
        if len(taken) != size:
            raise NotInstallable("it ends early")
        return taken

    return take


def text(name: str, content: bytes) -> ArchivedFile:
    return ArchivedFile(name=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content), content=content)


def with_sums(files: list[ArchivedFile]) -> list[ArchivedFile]:
    """Return `files` in their order below a list of digests that fits them."""
    rest = sorted((file for file in files if file.name != SUMS), key=lambda file: file.name)
    sums = "".join(f"{file.sha256}  {file.name}\n" for file in rest)
    return [text(SUMS, sums.encode()), *rest]


def with_changed(made: Made, name: str, content: bytes) -> list[ArchivedFile]:
    """Return the files of an archive with another content of one, and digests that fit."""
    return with_sums([text(name, content) if file.name == name else file for file in made.archive.files])


class TestLayout:
    def test_the_files_lie_in_their_order(self) -> None:
        assert [file.name for file in made_archive().archive.files] == [
            "SHA256SUMS",
            "acme/acme-1.0-py3-none-any.whl",
            "allowlist.toml",
            "dep/dep-2.0-py3-none-any.whl",
            "pylock.taxi-glue-5-1.toml",
            "simple/acme/index.html",
            "simple/dep/index.html",
            "simple/index.html",
        ]

    def test_the_digests_are_those_of_sha256sum(self) -> None:
        sums, *rest = made_archive().archive.files
        assert sums.content == "".join(f"{file.sha256}  {file.name}\n" for file in rest).encode()

    def test_a_page_leads_to_the_wheels_by_hash(self) -> None:
        (page,) = (file for file in made_archive().archive.files if file.name == "simple/acme/index.html")
        assert page.content == (
            b'<!DOCTYPE html>\n<html>\n<head><meta name="pypi:repository-version" content="1.1">'
            b"<title>Links for acme</title></head>\n<body>\n"
            b'<a href="../../acme/acme-1.0-py3-none-any.whl#sha256='
            + hashlib.sha256(ACME[1]).hexdigest().encode()
            + b'" data-requires-python="&gt;=3.8">acme-1.0-py3-none-any.whl</a><br>\n</body>\n</html>\n'
        )

    def test_the_root_page_leads_to_the_projects(self) -> None:
        page = made_archive().archive.files[-1]
        assert page.content == (
            b"<!DOCTYPE html>\n<html>\n<head><title>Projects</title></head>\n<body>\n"
            b'<a href="acme/">acme</a><br>\n<a href="dep/">dep</a><br>\n</body>\n</html>\n'
        )

    def test_the_format_stays_what_it_is(self) -> None:
        """Another digest is another format, which places with other releases refuse."""
        made = carried_lock()
        names = ("acme-1.0-py3-none-any.whl", f"acme-1.0-{'.'.join(['cp311'] * 20)}-none-any.whl")
        digest = hashlib.sha256(b"wheel").hexdigest()
        one = replace(carried_wheel(ACME), sha256=digest, size=5)
        archive = Archive(
            allowlist=b"# allow-list\n",
            locks=(replace(made, content=b"# lock\n"), replace(made, content=b"# other\n", glue_version="5.0")),
            wheels=tuple(replace(one, filename=name) for name in names),
        )
        content = tar(archive.files, dict.fromkeys(names, b"wheel"))
        assert hashlib.sha256(content).hexdigest() == GOLDEN

    def test_a_local_version_and_an_epoch_are_quoted_in_links(self) -> None:
        one = replace(carried_wheel(ACME), filename="acme-1!2.0+x-py3-none-any.whl")
        page = Archive(allowlist=b"", locks=(), wheels=(one,)).files[-2]
        assert b'href="../../acme/acme-1%212.0%2Bx-py3-none-any.whl#sha256=' in (page.content or b"")

    @pytest.mark.parametrize(
        "name",
        [
            "/etc/passwd",
            "../allowlist.toml",
            "acme/../allowlist.toml",
            "acme/..",
            "./allowlist.toml",
            "acme/acme-1.0.tar.gz",
            "Acme/acme-1.0-py3-none-any.whl",
            "a--b/acme-1.0-py3-none-any.whl",
            "acme/a/acme-1.0-py3-none-any.whl",
            "acme\\acme-1.0-py3-none-any.whl",
            "pylock.toml",
            "pylock.a.b-glue-5-1.toml",
            "simple/../index.html",
            "simple//index.html",
            "simple/acme/other.html",
            "SHA256SUMS\n",
            "acme/acme-1.0-py3-none-any.whl\n",
            "",
        ],
    )
    def test_no_other_name_is_known(self, name: str) -> None:
        assert not is_known(name)

    def test_its_own_names_are_known(self) -> None:
        files = made_archive().archive.files
        assert all(is_known(file.name) for file in files)
        assert [is_wheel(file.name) for file in files] == [file.content is None for file in files]

    def test_projects_named_like_the_folder_of_pages_get_on_with_it(self) -> None:
        one = wheel("simple", "1.0")
        made = made_archive(one, locks=[carried_lock(made_pin(one), request=["simple"])])
        assert len({file.name for file in made.archive.files}) == len(made.archive.files)
        assert parse_archive(made.archive.files) == made.archive


GOLDEN = "c2616ba7845eff32ae81f0beb08f7e7139ebc8bf7df35ac021e17d0c5350350e"


class TestTar:
    @given(NAMES, SIZES)
    def test_what_is_written_is_read(self, name: str, size: int) -> None:
        take = taker(header(name, size))
        assert next_header(take) == (name, size)
        with pytest.raises(NotInstallable):
            take(1)

    @given(NAMES, st.binary(max_size=1100))
    def test_others_read_the_same(self, name: str, content: bytes) -> None:
        written = header(name, len(content)) + content + padding(len(content)) + END
        with tarfile.open(fileobj=io.BytesIO(written)) as archive:
            (member,) = archive.getmembers()
            file = archive.extractfile(member)
            assert file is not None
            assert (member.name, file.read()) == (name, content)
            told = (member.mode, member.mtime, member.uid, member.gid, member.uname, member.gname)
            assert told == (0o644, 0, 0, 0, "", "")
            assert member.isreg()

    @given(NAMES, SIZES, st.data())
    def test_a_changed_bit_of_a_header_is_found(self, name: str, size: int, data: st.DataObject) -> None:
        written = bytearray(header(name, size))
        written[data.draw(st.integers(0, len(written) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises(NotInstallable):
            next_header(taker(bytes(written)))

    @given(st.binary(min_size=512, max_size=2048))
    def test_no_other_bytes_are_a_header(self, content: bytes) -> None:
        with pytest.raises(NotInstallable):
            next_header(taker(content[:511] + b"x" + content[512:]))

    def test_an_extension_is_used_for_long_names_only(self) -> None:
        assert len(header("a" * 100, 0)) == 512
        assert len(header("a" * 101, 0)) == 3 * 512

    def test_the_end_is_two_empty_blocks(self) -> None:
        assert next_header(taker(END)) is None
        with pytest.raises(NotInstallable, match="the end is not that of an archive"):
            next_header(taker(END[:-1] + b"x"))

    @pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"5", b"7", b"L", b"g", b"\0"])
    def test_links_devices_and_folders_are_refused(self, kind: bytes) -> None:
        member = tarfile.TarInfo("acme/acme-1.0-py3-none-any.whl")
        member.type = kind
        with pytest.raises(NotInstallable, match="the header of"):
            next_header(taker(member.tobuf(tarfile.USTAR_FORMAT)))

    def test_a_file_of_8_gib_does_not_fit(self) -> None:
        assert next_header(taker(header("a", 8 * 2**30 - 1))) == ("a", 8 * 2**30 - 1)
        with pytest.raises(NotInstallable, match="8589934592 bytes"):
            header("a", 8 * 2**30)


class TestParse:
    def test_what_is_written_is_read(self) -> None:
        made = made_archive()
        parsed = parse_archive(made.archive.files)
        assert parsed == made.archive
        assert [one.project for one in parsed.approvals.approvals] == ["acme", "dep"]
        assert [(one.bundle, one.glue_version) for one in parsed.locks] == [("taxi", "5.1")]

    def test_a_lock_without_anything_to_install_is_carried_too(self) -> None:
        made = made_archive(locks=[carried_lock()])
        made.archive = replace(made.archive, wheels=())
        assert parse_archive(made.archive.files) == made.archive

    @given(
        st.one_of(
            st.binary(), st.builds(b"Requires-Python: %b\n".__mod__, st.text().map(lambda text: text.encode()))
        )
    )
    def test_whatever_a_wheel_says_of_python_is_carried_or_left_out(self, metadata: bytes) -> None:
        self.carried_python(required_python(metadata))

    @pytest.mark.parametrize(
        ("told", "required"),
        [
            (">=3.8", ">=3.8"),
            (">=3.8,\n  <4", ">=3.8, <4"),
            ("===<b>&\"'", "===<b>&\"'"),
            ("three", None),
            ("===\N{SNOWMAN}", None),
            ("", None),
        ],
    )
    def test_the_python_a_wheel_requires_is_carried(self, told: str, required: str | None) -> None:
        metadata = f"Metadata-Version: 2.1\nRequires-Python: {told}\nName: acme\n\nRequires-Python: 2\n"
        assert required_python(metadata.encode()) == required
        self.carried_python(required)

    def carried_python(self, told: str | None) -> None:
        made = made_archive(ACME, locks=[carried_lock(made_pin(ACME))])
        made.archive = replace(made.archive, wheels=(carried_wheel(ACME, told),))
        assert parse_archive(made.archive.files).wheels[0].requires_python == told

    @pytest.mark.parametrize("position", range(8))
    def test_a_file_that_does_not_have_its_digest_is_named(self, position: int) -> None:
        files = list(made_archive().archive.files)
        name = files[position].name
        files[position] = replace(files[position], sha256="0" * 64, content=None if is_wheel(name) else b"other")
        with pytest.raises(NotInstallable, match=name if name != SUMS else "is missing|does not belong"):
            parse_archive(files)

    @pytest.mark.parametrize("position", range(8))
    def test_a_missing_file_is_named(self, position: int) -> None:
        files = list(made_archive().archive.files)
        (gone,) = [files.pop(position)]
        with pytest.raises(NotInstallable):
            parse_archive(files)
        if gone.name != SUMS:
            with pytest.raises(NotInstallable, match=f"{gone.name}.* is missing|no lock names it|of no wheel"):
                parse_archive(with_sums(files))

    def test_a_stray_is_named(self) -> None:
        made = made_archive()
        other = wheel("other", "1.0")
        page = text("simple/other/index.html", b"<html></html>")
        with pytest.raises(NotInstallable, match=r"simple/other/index\.html does not belong there: SHA256SUMS"):
            parse_archive([*made.archive.files, page])
        with pytest.raises(
            NotInstallable, match=r"simple/other/index\.html does not belong there: it is the page"
        ):
            parse_archive(with_sums([*made.archive.files, page]))
        more = replace(made.archive, wheels=(*made.archive.wheels, carried_wheel(other)))
        with pytest.raises(NotInstallable, match=r"other/other-1\.0-py3-none-any\.whl .*no lock names it"):
            parse_archive(more.files)

    def test_files_in_another_order_or_twice_are_refused(self) -> None:
        sums, first, *rest = made_archive().archive.files
        for files in ([first, sums, *rest], [sums, *rest, first], [sums, first, first, *rest]):
            with pytest.raises(NotInstallable, match="another order, or twice"):
                parse_archive(files)

    @pytest.mark.parametrize(
        "change", [lambda sums: sums + b"\n", lambda sums: sums[:-1], lambda sums: sums.replace(b"  ", b" *", 1)]
    )
    def test_digests_written_otherwise_are_refused(self, change: Callable[[bytes], bytes]) -> None:
        sums, *rest = made_archive().archive.files
        with pytest.raises(NotInstallable, match=r"SHA256SUMS|is missing"):
            parse_archive([text(SUMS, change(sums.content or b"")), *rest])

    def test_a_page_that_leads_elsewhere_is_refused_although_its_digest_fits(self) -> None:
        made = made_archive()
        page = next(file for file in made.archive.files if file.name == "simple/dep/index.html").content or b""
        for other in (
            page.replace(b"../../dep/", b"../../../dep/"),
            page + b" ",
            b"",
            b"\xff\xfe",
            b"<base href=//[",
        ):
            with pytest.raises(NotInstallable, match=r"simple/dep/index\.html is not what"):
                parse_archive(with_changed(made, "simple/dep/index.html", other))

    def test_a_wheel_of_other_bytes_than_locked_is_refused_although_its_digest_fits(self) -> None:
        other = (ACME[0], wheel("acme", "1.0", payload=b"# evil\n")[1])
        made = made_archive(other, DEP, locks=made_archive().archive.locks)
        with pytest.raises(NotInstallable, match="is not the locked wheel"):
            parse_archive(made.archive.files)

    def test_a_lock_whose_wheel_is_not_there_is_refused(self) -> None:
        made = made_archive(ACME, locks=made_archive().archive.locks)
        with pytest.raises(NotInstallable, match=r"dep/dep-2\.0-py3-none-any\.whl' is missing: a lock names it"):
            parse_archive(made.archive.files)

    @pytest.mark.parametrize("content", [b"", b"lock-version = '1.0'", b"\xff", b"not toml"])
    def test_what_is_no_lock_is_refused(self, content: bytes) -> None:
        with pytest.raises(NotInstallable, match=r"pylock\.taxi-glue-5-1\.toml is not"):
            parse_archive(with_changed(made_archive(), LOCK, content))

    @pytest.mark.parametrize("content", [b"[approvals]", b"\xff", b"other = 1"])
    def test_what_is_no_allow_list_is_refused(self, content: bytes) -> None:
        with pytest.raises(NotInstallable, match=r"allowlist\.toml"):
            parse_archive(with_changed(made_archive(), ALLOWLIST, content))

    def test_no_files_at_all_are_refused(self) -> None:
        with pytest.raises(NotInstallable, match="is missing"):
            parse_archive([])


class TestWheels:
    def test_locks_that_disagree_about_a_file_are_refused(self) -> None:
        other = (ACME[0], b"other bytes")
        locks = [carried_lock(made_pin(ACME)).lock, carried_lock(made_pin(other), glue="5.0").lock]
        with pytest.raises(NotInstallable, match=r"the locks disagree about acme-1\.0-py3-none-any\.whl"):
            wheels_of(locks)

    def test_a_wheel_of_several_locks_is_carried_once(self) -> None:
        locks = [carried_lock(made_pin(ACME), glue=glue).lock for glue in ("5.0", "5.1")]
        assert list(wheels_of(locks)) == ["acme/acme-1.0-py3-none-any.whl"]

    @pytest.mark.parametrize("filename", ["acme-1.0-py3-none-any/../x.whl", "acme-1.0-py3-none-änÿ.whl"])
    def test_a_name_that_could_lead_elsewhere_is_refused(self, filename: str) -> None:
        pin = made_pin(ACME)
        lock = carried_lock(pin).lock
        odd = replace(lock, pins=(replace(pin, files=(LockedFile(filename=filename, sha256="a" * 64),)),))
        with pytest.raises(NotInstallable, match="has other characters"):
            wheels_of([odd])
