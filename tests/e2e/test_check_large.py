"""`check` with ten thousand approvals, where no endpoint answers: what it needs, and what it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.check import APPROVALS, unreachable, write_project

# Takes long to load, or reaches for a network.
COSTLY = ("boto3", "botocore", "requests", "urllib3", "rich", "tomlkit", "email.parser", "packaging.metadata")
SCRIPT = f"""
import sys
from glue_pkgmgr.cli.main import main
status = main(["--json", *sys.argv[1:]])
print(*sorted(set({COSTLY!r}) & set(sys.modules)), file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large")
    write_project(made)
    return made


def checked(folder: Path, request: str, status: int) -> dict[str, Any]:
    """Return what `check` answers as JSON; it has to end with `status`, and to load nothing that is costly."""
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, "check", request],
        cwd=folder,
        env=unreachable(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stderr.strip()) == (status, ""), finished.stdout
    answer: dict[str, Any] = json.loads(finished.stdout)
    return answer


def test_a_locked_request_is_answered_without_network(folder: Path) -> None:
    answer = checked(folder, "acme,boto3,pandas", 0)
    assert answer["allowed"] is True


@pytest.mark.parametrize(
    ("request_", "problem", "alternative"),
    [
        ("acme-77==99", "99 is not approved; approved is acme-77==1.15", "acme-77==1.15"),
        ("acne-77", "no approval names acne-77", "acme-77"),
        ("polars", "no approval names polars", None),
        (f"acme-{APPROVALS}>=1", f"no approval names acme-{APPROVALS}", "acme-1000"),
    ],
)
def test_what_nobody_approved_is_refused_without_network(
    folder: Path, request_: str, problem: str, alternative: str | None
) -> None:
    answer = checked(folder, f"boto3,{request_}", 3)
    _, item = answer["items"]
    assert item["approved"] is False
    assert problem in item["problem"]
    assert item["alternative"] == alternative


def test_an_error_in_the_last_of_ten_thousand_entries_is_told(folder: Path, tmp_path: Path) -> None:
    write_project(tmp_path)
    allowlist = tmp_path / "allowlist.toml"
    allowlist.write_text(allowlist.read_text() + '\n[[approvals]]\nproject = "acme"\nversions = "1.0"\n')
    answer = checked(tmp_path, "acme", 2)
    assert f"approvals[{APPROVALS}]" in str(answer["error"])
