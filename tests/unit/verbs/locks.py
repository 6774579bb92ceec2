"""Locks, policies and settings, made small for the tests of the verbs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.version import Version

from glue_pkgmgr.core.allowlist import AllowList, Approval, make_approval
from glue_pkgmgr.core.lockfile import Lock, LockedFile, Pin
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.policy import Policy
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.settings import JobSettings, Settings, parse_settings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
STORE = RepositoryAddress(domain="acme", owner="111122223333", region="us-east-1", repository="store")
APPROVED = RepositoryAddress(domain="acme", owner="111122223333", region="us-east-1", repository="approved")


def approval(requirement: str, **more: object) -> Approval:
    project, _, version = requirement.partition("==")
    return make_approval(project, f"=={version}", approved_by="us", reason="why", **more)  # type: ignore[arg-type]


def policy(
    *approvals: Approval | str, glue: str = "5.1", internal: tuple[str, ...] = (), now: datetime = NOW
) -> Policy:
    made = (approval(one) if isinstance(one, str) else one for one in approvals)
    return Policy(
        allowlist=AllowList(tuple(made)),
        internal=frozenset(map(project_name, internal)),
        minimum_age=timedelta(days=7),
        runtime=glue_runtime(glue),
        now=now,
    )


def wheel_name(requirement: str, tag: str = "py3-none-any") -> str:
    project, _, version = requirement.partition("==")
    return f"{project.replace('-', '_')}-{version}-{tag}.whl"


def pin(requirement: str, digit: str = "a", wanted_by: tuple[str, ...] = (), internal: bool = False) -> Pin:
    """Return a pin with one wheel whose digest repeats `digit`; no digit makes it one of the image."""
    project, _, version = requirement.partition("==")
    file = LockedFile(filename=wheel_name(requirement), sha256=digit * 64)
    return Pin(
        project=project_name(project),
        version=Version(version),
        files=(file,) if digit else (),
        wanted_by=tuple(map(project_name, wanted_by)),
        internal=internal,
    )


def lock(*pins: Pin, request: tuple[str, ...] = ("acme",), glue: str = "5.1") -> Lock:
    by_name = tuple(sorted(pins, key=lambda it: it.project))
    return Lock(runtime=glue_runtime(glue), request=request, pins=by_name, minimum_age_days=7)


def settings(root: Path, **job: object) -> Settings:
    content = {
        "codeartifact": {
            "domain": STORE.domain,
            "owner": STORE.owner,
            "region": STORE.region,
            "store": "store",
            "repository": "approved",
        },
        "bundles": {"taxi": {"modules": ["acme"], "glue-version": "5.1"}},
        "jobs": {
            "taxi": {
                "name": "taxi-job",
                "script": "taxi.py",
                "bundle": "taxi",
                "staging": "s3://staging/area",
                "arguments": {"S3_BUCKET": "b"},
                **job,
            }
        },
    }
    return parse_settings(content, root / "glue-pkgmgr.toml")


def job_settings(root: Path = Path("/nowhere"), **job: object) -> JobSettings:
    return settings(root, **job).job("taxi")
