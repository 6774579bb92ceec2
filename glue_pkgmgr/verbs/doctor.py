"""Verb `doctor`: what is set up, what is missing, what to do."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from threading import Thread

from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.lock_faults import unusable
from glue_pkgmgr.core.record import Recorded
from glue_pkgmgr.core.repository import RepositoryAddress, RepositoryLinks
from glue_pkgmgr.core.runtime import RUNTIMES
from glue_pkgmgr.errors import GluePkgmgrError
from glue_pkgmgr.settings import JobSettings, Settings
from glue_pkgmgr.verbs.allowlist_file import read_allowlist
from glue_pkgmgr.verbs.lock_file import read_lock

LONGEST = 45.0
"""Seconds the checks may take: more than the time limit of any process that one of them starts."""


_DIGITS = 16  # of a digest: enough to compare by eye


class Health(StrEnum):
    """How something stands. WRONG keeps some verb from working, WARNING does not."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found, and what to do about it."""

    health: Health
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict with the name of its check."""

    check: str
    verdict: Verdict


PythonVersion = tuple[int, int]

Checks = Mapping[str, Callable[[], Verdict]]
"""Checks by name, in the order to show them."""


def diagnose(checks: Checks, *, seconds: float = LONGEST) -> tuple[Finding, ...]:
    """Make all `checks` at the same time and return their findings in order.

    One that fails is WRONG with its error, one that is not done after `seconds` is given up: neither keeps
    another from being made.
    """
    verdicts: dict[str, Verdict] = {}

    def look(name: str, check: Callable[[], Verdict]) -> None:
        verdicts[name] = _verdict(check)

    # Daemons: a check that hangs must not keep the process from ending.
    threads = [Thread(target=look, args=item, daemon=True) for item in checks.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = Verdict(Health.WRONG, f"no answer within {seconds:g} s", "check the network, then try again")
    return tuple(Finding(check=name, verdict=verdicts.get(name, late)) for name in checks)


def unknown(checks: Checks, because: str) -> tuple[Finding, ...]:
    """Return the findings of `checks` that it makes no sense to make."""
    return tuple(Finding(check=name, verdict=Verdict(Health.UNKNOWN, because)) for name in checks)


def _verdict(check: Callable[[], Verdict]) -> Verdict:
    try:
        return check()
    except GluePkgmgrError as e:
        return Verdict(Health.WRONG, str(e))
    except Exception as e:  # one check that breaks must not hide the others
        return Verdict(Health.WRONG, f"{type(e).__name__}: {e}", "this is a bug, please report it")


def machine_checks(
    *,
    uv: Callable[[], str],
    index: Callable[[], str],
    java: Callable[[], Path | None],
    python_for: Callable[[PythonVersion], Path | None],
    stand_in_lacks: Callable[[], Sequence[str]],
) -> Checks:
    """Return the checks of this machine that need no settings.

    `uv` tells its version and `index` the index pip uses once it has answered; `java` and `python_for` find
    what job runs need, `stand_in_lacks` names the parts of the stand-in that are not installed.
    """
    return {
        "Python": lambda: Verdict(Health.OK, platform.python_version()),
        "uv": lambda: Verdict(Health.OK, uv()),
        "package index": lambda: Verdict(Health.OK, f"{index()} answers"),
        "stand-in": lambda: _stand_in(stand_in_lacks()),
        "Java": lambda: _java(java()),
        "job runs here": lambda: _runnable(python_for),
    }


def _stand_in(lacking: Sequence[str]) -> Verdict:
    if lacking:
        return Verdict(
            Health.WARNING,
            f"{', '.join(lacking)} not installed",
            "to use it: pip install 'glue-pkgmgr[local]'",
        )
    return Verdict(Health.OK, "all its parts are installed")


def _java(home: Path | None) -> Verdict:
    if home is None:
        return Verdict(Health.WARNING, "no suitable Java", "nothing: the stand-in fetches one on first use")
    return Verdict(Health.OK, str(home))


def _runnable(python_for: Callable[[PythonVersion], Path | None]) -> Verdict:
    wanted = sorted({runtime.python for runtime in RUNTIMES.values()})
    with ThreadPoolExecutor() as pool:  # each question starts a process or several
        here = {version for version, python in zip(wanted, pool.map(python_for, wanted), strict=True) if python}
    exact = [one.version for one in RUNTIMES.values() if one.python in here]
    absent = [f"{one.version} (Python {one.python_text})" for one in RUNTIMES.values() if one.python not in here]
    if not exact:
        return Verdict(Health.WARNING, "no Python of any Glue version", "use `local up --nearest-python`")
    return Verdict(
        Health.OK,
        f"Glue {', '.join(exact)}" + (f"; not {', '.join(absent)}" if absent else ""),
        "for the others, install that Python or use `local up --nearest-python`" if absent else "",
    )


def settings_checks(settings: Settings, now: datetime) -> Checks:
    """Return the checks of the files that the settings name, at the moment `now` (aware UTC)."""
    return {
        "settings": lambda: Verdict(Health.OK, str(settings.path)),
        "allow-list": lambda: _allowlist(settings, now.date()),
        **{f"lock {bundle.name}": _lock_check(bundle, settings, now) for bundle in settings.bundles.values()},
        **{f"script {job.key}": _script_check(job, settings) for job in settings.jobs.values()},
    }


def _allowlist(settings: Settings, today: date) -> Verdict:
    approvals = read_allowlist(settings.policy.allowlist).approvals
    told = f"{settings.policy.allowlist.name}: {len(approvals)} approval{'' if len(approvals) == 1 else 's'}"
    ending = [one for one in approvals if one.ends_soon(today)]
    if not ending:
        return Verdict(Health.OK, told)
    listed = ", ".join(f"{one.project}{one.versions} on {one.until}" for one in ending)
    return Verdict(Health.WARNING, f"{told}; soon ends {listed}", "review them; `approve` again what is to stay")


def _lock_check(bundle: Bundle, settings: Settings, now: datetime) -> Callable[[], Verdict]:
    def check() -> Verdict:
        anew = f"glue-pkgmgr lock {bundle.name}"
        if not (settings.policy.locks / bundle.lock_filename).exists():
            return Verdict(Health.WARNING, f"no lock for Glue {bundle.runtime.version} yet", anew)
        lock = read_lock(bundle, settings.policy.locks)
        rules = settings.policy.rules(read_allowlist(settings.policy.allowlist), bundle.runtime, now)
        if found := unusable(bundle, lock, rules):
            return Verdict(Health.WRONG, "; ".join(found), f"approve, or {anew}")
        return Verdict(Health.OK, f"{len(lock.pins)} releases, {len(lock.installed)} of them to install")

    return check


def _script_check(job: JobSettings, settings: Settings) -> Callable[[], Verdict]:
    def check() -> Verdict:
        if job.script.startswith("s3://") or (settings.root / job.script).is_file():
            return Verdict(Health.OK, job.script)
        return Verdict(Health.WRONG, f"{job.script} is not there", f"correct jobs.{job.key}.script")

    return check


def recorded_check(read: Callable[[], Recorded]) -> Checks:
    """Return the check of the records of launches: that all can be read, and none was changed or taken away."""

    def check() -> Verdict:
        found = read()
        if not found.entries and not found.warnings:
            return Verdict(Health.OK, "no launch yet")
        told = f"{_counted(len(found.launches), 'launch', 'launches')} in "
        told += _counted(found.entries, "entry", "entries")
        if found.warnings:
            more = f" (and {len(found.warnings) - 1} more)" if len(found.warnings) > 1 else ""
            if found.faults:
                return Verdict(
                    Health.WRONG,
                    f"{told}; {found.warnings[0]}{more}",
                    "find out who changed them; compare with a backup",
                )
            return Verdict(Health.WARNING, f"{told}; {found.warnings[0]}{more}", "nothing: others are whole")
        return Verdict(Health.OK, f"{told}, the last {found.head[:_DIGITS]}…")

    return {"records": check}


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def remote_checks(
    settings: Settings,
    *,
    links: Callable[[RepositoryAddress], RepositoryLinks],
    definition: Callable[[str], Mapping[str, object] | None],
) -> Checks:
    """Return the checks of what the settings name in AWS: repositories and job definitions."""
    codeartifact = settings.codeartifact
    return {
        f"repository {codeartifact.repository}": lambda: _approved(
            links(codeartifact.approved_repository), allowed=codeartifact.upstreams
        ),
        f"repository {codeartifact.store}": lambda: _store(links(codeartifact.store_repository)),
        **{f"job {job.key}": _job_check(job, definition) for job in settings.jobs.values()},
    }


def _approved(links: RepositoryLinks, allowed: tuple[str, ...]) -> Verdict:
    behind = [*(name for name in links.upstreams if name not in allowed), *links.external_connections]
    if behind:
        return Verdict(
            Health.WRONG,
            f"looks into {', '.join(behind)} too: jobs can install what nobody approved",
            "remove its upstreams; `glue-pkgmgr mirror sync` fills it",
        )
    if links.upstreams:
        return Verdict(
            Health.WARNING,
            f"has {', '.join(links.upstreams)} as its upstream, as the settings say: jobs that go around us can "
            "install what nobody approved",
            'the stronger shape is upstream = "none" under [codeartifact]',
        )
    return Verdict(Health.OK, "looks nowhere else")


def _store(links: RepositoryLinks) -> Verdict:
    behind = (*links.external_connections, *links.upstreams)
    if not behind:
        return Verdict(Health.WARNING, "has no public index behind it", "add the external connection public:pypi")
    return Verdict(Health.OK, f"looks into {', '.join(behind)}")


def _job_check(
    job: JobSettings, definition: Callable[[str], Mapping[str, object] | None]
) -> Callable[[], Verdict]:
    def check() -> Verdict:
        found = definition(job.name)
        wanted = job.bundle.runtime.version
        if found is None:
            return Verdict(
                Health.WRONG,
                f"no Glue job {job.name!r}",
                "`glue-pkgmgr launch --fix` creates it; in the stand-in `local up`, too",
            )
        if found.get("GlueVersion") != wanted:
            return Verdict(
                Health.WRONG,
                f"{job.name} runs Glue {found.get('GlueVersion')}, its bundle is for {wanted}",
                "update the job, or change the bundle's glue-version and lock again",
            )
        return Verdict(Health.OK, f"{job.name} runs Glue {wanted}")

    return check
