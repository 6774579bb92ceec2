"""The optional rules through the command line: licences, vulnerabilities, sdists, and the exceptions to rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from glue_pkgmgr.core.lockfile import lock_from_toml
from tests.e2e.approved_world import World, installed, machine_index, running_world, settings
from tests.integration.local.made_distributions import sdist, wheel

pytestmark = pytest.mark.timeout(600)

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=400)
NAMES = ("gpl", "choice", "holed", "source", "young", "yanked")
POLICY = """internal = ["glueutils"]
minimum-age-days = 7
sdists = "build"
[policy.licences]
deny = ["GPL-3.0-only"]
[policy.vulnerabilities]
file = "advisories.json"
"""
ADVISORY = {
    "schema_version": "1.6.0",
    "id": "PYSEC-2026-7",
    "aliases": ["CVE-2026-7"],
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "made_holed"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]}],
        }
    ],
}
SETUP_PY = b"""from setuptools import setup
setup(name="made-source", version="1.0", py_modules=["made_source"], license="MIT")
"""
EXCEPTION = """
[[exceptions]]
vulnerability = "cve-2026-7"
project = "made-holed"
approved-by = "security"
reason = "not reachable"
until = 2099-01-01
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a world in which each release but one is refused by one rule, although all of them are approved."""
    bundles = {name: [f"made-{name}"] for name in NAMES}
    with running_world(tmp_path_factory.mktemp("rules"), settings(bundles, policy=POLICY)) as made:
        (made.workspace.folder / "advisories.json").write_text(json.dumps([ADVISORY]))
        made.public.add(wheel("made-gpl", "1.0", licence="GPL-3.0-only"), uploaded=OLD)
        made.public.add(wheel("made-choice", "1.0"), uploaded=OLD)
        made.public.add(wheel("made-choice", "2.0", licence="GPL-3.0-only"), uploaded=OLD)
        made.public.add(wheel("made-holed", "1.0"), uploaded=OLD)
        files = {"setup.py": SETUP_PY, "made_source.py": b"X = 1\n"}
        made.public.add(sdist("made-source", "1.0", files=files), uploaded=OLD)
        made.public.add(wheel("made-young", "1.0"), uploaded=NOW)
        made.public.add(wheel("made-yanked", "1.0"), uploaded=OLD, yanked="loses data")
        approve(made, *(f"made-{name}>=1" for name in NAMES))
        yield made


def approve(world: World, *requests: str) -> None:
    world.done("approve", *requests, "--by", "ann", "--reason", "reviewed")


def allowlist(world: World) -> Path:
    return world.workspace.folder / "allowlist.toml"


@pytest.fixture
def restored(world: World) -> Iterator[World]:
    """Return the world; what a test approves is taken back."""
    before = allowlist(world).read_bytes()
    yield world
    allowlist(world).write_bytes(before)


REFUSED = {
    "gpl": "made-gpl: none can be chosen: 1.0: its licence is refused (GPL-3.0-only is denied)",
    "holed": "made-holed: none can be chosen: 1.0: known to be vulnerable (PYSEC-2026-7 (CVE-2026-7; fixed in",
    "young": "made-young: none can be chosen: 1.0: younger than the minimum age (from ",
    "yanked": "made-yanked: none can be chosen: 1.0: yanked (loses data)",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_rule_refuses_what_is_approved_and_says_so_in_check_and_lock(world: World, name: str) -> None:
    checked = world.told("check", f"made-{name}", status=4)
    (obstacle,) = checked["refusal"]["obstacles"]
    assert f"{obstacle['project']}: {obstacle['told']}".startswith(REFUSED[name])
    locked = world.run("lock", name)
    assert locked.returncode == 4
    assert REFUSED[name] in locked.stderr
    assert not list(world.workspace.folder.glob(f"locks/{name}.*"))


def test_where_another_release_fits_it_is_taken(world: World) -> None:
    (locked,) = world.told("lock", "choice")["locks"]
    assert [(one["version"], one["licence"]) for one in locked["releases"]] == [("1.0", "MIT")]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpl", ["--licence", "LicenseRef-Bought"]),
        ("young", ["--allow-young", "fixes CVE-1"]),
        ("yanked", ["--allow-yanked", "only the sdist is bad"]),
    ],
)
def test_an_approval_with_an_exception_lets_the_one_release_in(
    restored: World, name: str, words: list[str]
) -> None:
    restored.done("revoke", f"made-{name}")
    restored.done("approve", f"made-{name}==1.0", "--by", "ann", "--reason", "case 7", *words)
    assert restored.told("check", f"made-{name}")["allowed"] is True
    assert words[1] in restored.done("approvals")


def test_an_exception_of_the_gate_lets_the_vulnerable_release_in_until_it_ends(restored: World) -> None:
    with allowlist(restored).open("a") as file:
        file.write(EXCEPTION)
    restored.done("lock", "holed")
    restored.done("lock", "--check", "holed")
    text = allowlist(restored).read_text()
    allowlist(restored).write_text(text.replace("2099-01-01", "2020-01-01"))
    stale = restored.run("lock", "--check", "holed")
    assert stale.returncode == 3
    assert "made-holed==1.0 is known to be vulnerable: PYSEC-2026-7" in stale.stderr


def test_an_advisory_file_that_cannot_be_read_is_no_clean_bill(restored: World) -> None:
    file = restored.workspace.folder / "advisories.json"
    before = file.read_text()
    file.write_text("[")
    try:
        finished = restored.run("check", "made-choice==1.0")
    finally:
        file.write_text(before)
    assert finished.returncode == 2
    assert "advisories.json" in finished.stderr


def test_a_release_without_a_wheel_is_built_published_and_installed(world: World, tmp_path: Path) -> None:
    built = machine_index()  # the build backend is a real one
    (locked,) = json.loads(world.done("--json", "lock", "source", **built))["locks"]
    (release,) = locked["releases"]
    assert release["from"] == "built by us"
    assert release["built_from"]["filename"] == "made_source-1.0.tar.gz"
    held = lock_from_toml(Path(locked["path"]).read_text(), "lock")
    synced = world.run("mirror", "sync", **built)
    assert synced.returncode == 0, synced.stdout + synced.stderr
    world.done("mirror", "verify")
    finished = world.install("pip", tmp_path, "made-source==1.0")
    assert finished.ok, finished.stderr
    assert installed(tmp_path) == {"made_source": "1.0"}
    again = world.run("lock", "source")
    assert again.returncode == 0, again.stderr
    assert lock_from_toml(Path(locked["path"]).read_text(), "lock") == held


def test_where_sdists_are_refused_by_now_the_lock_may_not_be_used(world: World) -> None:
    file = world.workspace.folder / "glue-pkgmgr.toml"
    before = file.read_text()
    file.write_text(before.replace('sdists = "build"', 'sdists = "refuse"'))
    try:
        checked, locked = world.run("lock", "--check", "source"), world.run("lock", "source")
    finally:
        file.write_text(before)
    assert checked.returncode == 3
    assert "was built from an sdist, which the settings refuse" in checked.stderr
    assert locked.returncode == 4
    assert "no wheel, only an sdist" in locked.stderr
