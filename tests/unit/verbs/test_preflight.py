"""What is found before a launch, each with what to do about it, all at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from glue_pkgmgr.core.index_url import SHORTEST, AuthorizationToken, IndexUrl
from glue_pkgmgr.core.job import Delivery
from glue_pkgmgr.core.lockfile import Lock
from glue_pkgmgr.core.preflight import Finding, State
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
from glue_pkgmgr.errors import IndexAccessError, NotApproved, NotInstallable, RemoteError, SettingsError
from glue_pkgmgr.ports import IndexRefused
from glue_pkgmgr.verbs.preflight import Asked, Lookout, Preflight, Trouble, here, trouble_of_page
from tests.fakes import ENDPOINT, FakeCodeArtifact, FakeIndex, FakeJobs, FakeStaging, FakeTime
from tests.unit.verbs.locks import APPROVED, job_settings, lock, pin, wheel_name

ACME = wheel_name("acme==1.0")
CONTENT = b"the wheel"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LOCKED = pin("acme==1.0")
LOCK = lock(replace(LOCKED, files=(replace(LOCKED.files[0], sha256=DIGEST, size=len(CONTENT)),)))
SCRIPT = b"print('hello')"
SCRIPT_URL = f"s3://staging/area/scripts/{hashlib.sha256(SCRIPT).hexdigest()}/taxi.py"
DEFINITION: dict[str, Any] = {
    "Name": "taxi-job",
    "GlueVersion": "5.1",
    "MaxRetries": 0,
    "Command": {"Name": "glueetl", "ScriptLocation": SCRIPT_URL, "PythonVersion": "3"},
    "DefaultArguments": {"--job-language": "python", "--S3_BUCKET": "b"},
}


@dataclass
class World:
    """Everything in order."""

    root: Path
    jobs: FakeJobs = field(default_factory=lambda: FakeJobs({"taxi-job": DEFINITION}))
    remote: FakeCodeArtifact = field(default_factory=FakeCodeArtifact)
    index: FakeIndex = field(default_factory=lambda: FakeIndex({ACME: CONTENT}))
    staging: FakeStaging = field(default_factory=FakeStaging)
    minted: list[timedelta] = field(default_factory=list)
    refuse_mint: Exception | None = None

    def mint(self, life: timedelta) -> IndexUrl:
        self.minted.append(life)
        if self.refuse_mint:
            raise self.refuse_mint
        return IndexUrl(ENDPOINT, AuthorizationToken("secret", FakeTime().now + life))

    @property
    def lookout(self) -> Lookout:
        return Lookout(
            root=self.root,
            approved=APPROVED,
            jobs=self.jobs,
            repositories=self.remote,
            mint=self.mint,
            open_index=lambda url: self.index,
            staging=self.staging,
        )

    def asked(self, made: Lock = LOCK, way: Delivery = Delivery.INDEX, **more: Any) -> Asked:
        return Asked(job=job_settings(self.root), lock=made, delivery=way, **more)

    def look(self, asked: Asked | None = None, *, fix: bool = False) -> Preflight:
        return self.lookout.look(asked or self.asked(), fix=fix)

    def errors(self, asked: Asked | None = None) -> list[Finding]:
        return list(self.look(asked).errors)


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "taxi.py").write_bytes(SCRIPT)
    made = World(tmp_path)
    made.remote.put("approved", ACME, DIGEST)
    made.staging.objects[SCRIPT_URL] = SCRIPT
    return made


@pytest.mark.parametrize("way", Delivery)
def test_where_all_is_well_every_check_says_so(world: World, way: Delivery) -> None:
    found = world.look(world.asked(way=way))
    assert {one.state for one in found.findings} == {State.OK}
    expected = ["lock", "arguments", "job definition", "index", "approved repository"]
    assert [one.check for one in found.findings] == expected + (["token"] if way.carries_token else [])
    assert (found.definition, found.delivery) == (DEFINITION, way)


def test_the_probe_has_a_token_of_its_own_of_the_shortest_life(world: World) -> None:
    world.look()
    assert world.minted == [SHORTEST]
    assert world.index.asked == ["acme"]


def test_wheels_that_are_all_staged_need_no_token(world: World) -> None:
    world.staging.objects[f"s3://staging/area/wheels/{DIGEST}/{ACME}"] = CONTENT
    found = world.look(world.asked(way=Delivery.WHEELS))
    assert world.minted == []
    assert "all 1 wheels are in s3://staging/area/wheels/" in str(found.findings)


def test_a_lock_that_installs_nothing_asks_no_index(world: World) -> None:
    assert world.errors(world.asked(lock(pin("boto3==1.40.61", "")))) == []
    assert world.minted == []


def test_everything_that_is_wrong_is_told_at_once(world: World) -> None:
    world.jobs.definitions["taxi-job"] = {**DEFINITION, "GlueVersion": "5.0"}
    world.remote.held.clear()
    world.index.files.clear()
    asked = world.asked(arguments={"JOB_NAME": "x"}, faults="acme==1.0 is not approved")
    assert [(one.check, one.error) for one in world.errors(asked)] == [
        ("lock", NotApproved),
        ("approved repository", NotInstallable),
        ("arguments", SettingsError),
        ("job definition", SettingsError),
    ]


def test_what_can_be_told_here_asks_nobody(world: World) -> None:
    asked = world.asked(lock(pin("acme==1.0"), glue="4.0"), Delivery.REQUIREMENTS, arguments={"day": "-x"})
    assert [one.check for one in here(asked) if one.state is State.ERROR] == ["delivery", "arguments"]
    assert (world.jobs.asked, world.minted) == ([], [])


def test_arguments_that_are_too_long_together_with_what_installs_are_told_before_a_token_exists(
    world: World,
) -> None:
    for way in Delivery:
        found = [one for one in here(world.asked(way=way, arguments={"note": "x" * 266_150})) if one.state != "ok"]
        assert ("bytes long" in str(found)) is (way is not Delivery.WHEELS) or way is Delivery.WHEELS


# The job's definition


def test_a_job_that_does_not_exist_is_told_with_the_way_out(world: World) -> None:
    world.jobs.definitions.clear()
    (found,) = world.errors()
    assert str(found).startswith("there is no Glue job 'taxi-job'; `glue-pkgmgr launch --fix` creates it")


def test_a_script_that_is_not_the_one_here_is_a_warning(world: World) -> None:
    (world.root / "taxi.py").write_text("print('edited')")
    warnings = [one for one in world.look().findings if one.state is State.WARNING]
    assert [one.told.partition(" is ")[0] for one in warnings] == ["Glue job 'taxi-job': Command.ScriptLocation"]


def test_a_script_that_is_not_here_matters_only_where_it_has_to_be_brought(world: World) -> None:
    (world.root / "taxi.py").unlink()
    assert world.look().errors == ()
    (found,) = world.look(fix=True).errors
    assert "cannot read the script of job 'taxi'" in found.told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\x00", "neither UTF-8"),
        (b"# coding: none\n", "neither UTF-8"),
    ],
)
def test_a_script_that_no_python_could_run_is_not_brought(world: World, content: bytes, told: str) -> None:
    (world.root / "taxi.py").write_bytes(content)
    (found,) = world.look(fix=True).errors
    assert told in found.told


def test_a_script_in_an_encoding_that_it_names_is_brought(world: World) -> None:
    (world.root / "taxi.py").write_bytes("# coding: latin-1\nprint('ü')\n".encode("latin-1"))
    assert world.look(fix=True).errors == ()


def test_a_link_out_of_the_project_is_not_brought_one_within_is(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script, secret = world.root / "taxi.py", tmp_path_factory.mktemp("home") / "credentials"
    secret.write_text("a = 1")
    (world.root / "real.py").write_bytes(SCRIPT)
    script.unlink()
    script.symlink_to(secret)
    (found,) = world.look(fix=True).errors
    assert "is a link out of the project, to" in found.told
    script.unlink()
    script.symlink_to("real.py")
    assert world.look(fix=True).errors == ()
    script.unlink()
    script.symlink_to(script)
    (found,) = world.look(fix=True).errors
    assert "cannot read the script of job 'taxi'" in found.told


def test_a_pipe_as_a_script_is_not_waited_for(world: World) -> None:
    (world.root / "taxi.py").unlink()
    os.mkfifo(world.root / "taxi.py")
    (found,) = world.look(fix=True).errors
    assert "is no file" in found.told


def test_a_script_that_is_not_in_s3_is_told_before_a_run_fails_for_it(world: World) -> None:
    del world.staging.objects[SCRIPT_URL]
    (found,) = world.errors()
    assert found.told == f"the script of the job, {SCRIPT_URL}, is not there"
    assert world.look(fix=True).errors == ()


def test_a_job_that_cannot_be_read_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(job: str) -> None:
        raise RemoteError("the caller needs glue:GetJob")

    monkeypatch.setattr(world.jobs, "definition", refuse)
    (found,) = world.errors()
    assert (found.check, found.error, found.told) == (
        "job definition",
        RemoteError,
        "the caller needs glue:GetJob",
    )


def test_nothing_is_changed_by_looking(world: World) -> None:
    world.jobs.definitions["taxi-job"] = {**DEFINITION, "GlueVersion": "5.0"}
    found = world.look(fix=True)
    assert found.errors == ()
    assert [str(one) for one in found.differences] == ["GlueVersion is 5.0, the settings say 5.1"]
    assert world.jobs.asked == ["definition taxi-job"]
    assert list(world.staging.objects) == [SCRIPT_URL]


def test_fixing_uploads_the_script_and_changes_what_the_settings_say(world: World) -> None:
    there = {**DEFINITION, "GlueVersion": "5.0", "Timeout": 99, "Description": "by hand", "MaxRetries": 1}
    world.jobs.definitions["taxi-job"] = {**there, "Command": {"Name": "glueetl", "ScriptLocation": "s3://old.py"}}
    world.staging.objects.clear()
    made = world.lookout.apply(world.asked())
    assert made == world.jobs.definitions["taxi-job"] == {**DEFINITION, "Timeout": 99, "Description": "by hand"}
    assert world.staging.objects == {SCRIPT_URL: SCRIPT}
    assert world.look().errors == ()
    world.lookout.apply(world.asked())
    assert world.jobs.asked.count("update taxi-job") == 1


def test_fixing_creates_a_job_with_everything_the_settings_say(world: World) -> None:
    world.jobs.definitions.clear()
    found = world.look(fix=True)
    assert found.errors == ()
    assert "WorkerType is not set, the settings say G.1X" in [str(one) for one in found.differences]
    world.lookout.apply(world.asked())
    assert world.jobs.definitions["taxi-job"]["Role"] == "taxi-job"
    assert world.jobs.definitions["taxi-job"]["NumberOfWorkers"] == 2


def test_a_job_whose_nodes_come_later_gets_wheels_unless_the_caller_chose(world: World) -> None:
    scaling = {**DEFINITION["DefaultArguments"], "--enable-auto-scaling": "true"}
    world.jobs.definitions["taxi-job"] = {**DEFINITION, "DefaultArguments": scaling}
    assert world.look(world.asked(way=Delivery.REQUIREMENTS, chosen=False)).delivery is Delivery.WHEELS
    assert world.look(world.asked(way=Delivery.REQUIREMENTS)).delivery is Delivery.REQUIREMENTS


# The approved repository, the token and the index


def test_a_release_that_was_never_brought_in_is_told_from_a_version_that_was_not(world: World) -> None:
    world.remote.held.clear()
    world.index.files.clear()
    (never,) = world.errors()
    assert "acme==1.0: missing (no release of it was ever brought in)" in never.told
    assert "glue-pkgmgr mirror sync" in never.told
    world.remote.put("approved", wheel_name("acme==0.9"), "c" * 64)
    world.index.files[wheel_name("acme==0.9")] = b"x"
    (other,) = world.errors()
    assert "acme==1.0: missing (only 0.9 there)" in other.told


def test_other_bytes_than_locked_are_told(world: World) -> None:
    world.remote.held.clear()
    world.remote.put("approved", ACME, "b" * 64)
    (found,) = world.errors()
    assert (found.error, "different bytes" in found.told) == (NotInstallable, True)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (IndexRefused("answered 401", 401), Trouble.EXPIRED),
        (IndexRefused("answered 403", 403), Trouble.FORBIDDEN),
        (IndexRefused("answered 503", 503), Trouble.INDEX_FAILS),
        (IndexAccessError("cannot reach it"), Trouble.UNREACHABLE),
    ],
)
def test_each_trouble_with_the_index_is_told_apart(world: World, error: Exception, trouble: Trouble) -> None:
    world.index.page = _raising(error)  # type: ignore[method-assign]
    (found,) = world.errors()
    assert (found.check, found.error) == ("index", IndexAccessError)
    assert found.told == f"{trouble.value}: {error}"
    assert found.advice


def _raising(error: Exception) -> Callable[..., None]:
    def page(project: str) -> None:
        raise error

    return page


def test_an_index_that_denies_what_the_api_tells_of_does_not_accept_the_token(world: World) -> None:
    world.index.files.clear()
    (found,) = world.errors()
    assert Trouble.NOT_ACCEPTED.value in found.told
    assert "ReadFromRepository" in found.advice


def test_a_token_that_is_not_granted_is_told_with_its_own_words(world: World) -> None:
    world.refuse_mint = RemoteError("the caller needs codeartifact:GetAuthorizationToken")
    (found,) = world.errors()
    assert (found.check, found.error, found.told) == ("token", RemoteError, str(world.refuse_mint))


def page(*names: str) -> IndexPage:
    return IndexPage(
        project=LOCKED.project,
        files=tuple(IndexFile(filename=name, url=f"{ENDPOINT}{name}", hashes={}) for name in names),
    )


@pytest.mark.parametrize(
    ("answer", "held", "trouble"),
    [
        (None, False, Trouble.NEVER_INGESTED),
        (None, True, Trouble.NOT_ACCEPTED),
        (page(), True, Trouble.NO_VERSION),
        (page("acme-0.9-py3-none-any.whl", "not a file name"), True, Trouble.NO_VERSION),
        (page("acme-1.0.tar.gz"), True, Trouble.NO_WHEEL),
        (page("acme-1.0-cp39-cp39-manylinux2014_x86_64.whl"), True, Trouble.NO_WHEEL),
        (page("acme-1.0-cp39-cp39-manylinux2014_x86_64.whl", "acme-1.0-py3-none-any.whl"), True, None),
    ],
)
def test_a_page_tells_what_is_missing_on_it(answer: IndexPage | None, held: bool, trouble: Trouble | None) -> None:
    assert trouble_of_page(answer, LOCKED, LOCK.runtime, held=held) is trouble


def test_every_trouble_says_what_to_do(world: World) -> None:
    from glue_pkgmgr.verbs.preflight import _ADVICE

    assert set(_ADVICE) == set(Trouble)


def test_no_finding_holds_the_token(world: World) -> None:
    for files in ({ACME: CONTENT}, {}):
        world.index.files = dict(files)
        assert "secret" not in repr(world.look())
