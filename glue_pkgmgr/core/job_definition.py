"""A job's definition: what the settings want it to be, and what about the one that is there would hurt a run.

Source: AWS Glue API, `Job`, CreateJob and UpdateJob, which replaces all of a definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from glue_pkgmgr.core.job import INSTALLER_OPTION, LAUNCH_ID, MODULES, Delivery
from glue_pkgmgr.core.preflight import Finding, warning, wrong
from glue_pkgmgr.core.secret_arguments import without_secret
from glue_pkgmgr.errors import NotApproved

if TYPE_CHECKING:
    from glue_pkgmgr.core.lockfile import Lock

Definition = Mapping[str, Any]
"""A job definition, with the members of the API's `Job`."""

_CHECK = "job definition"
_SPARK = "glueetl"
_DEFAULTS, _FIXED = "DefaultArguments", "NonOverridableArguments"
# GetJob tells both beside the workers; CreateJob and UpdateJob refuse them there.
_INSTEAD_OF_WORKERS = ("AllocatedCapacity", "MaxCapacity")
_OTHER_ENVIRONMENTS = ("--python-virtual-env",)
_BESIDE_THE_LOCK = ("--extra-py-files",)
_FIX = "`glue-pkgmgr launch --fix` makes the job as the settings say"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedJob:
    """What the settings say of a job; None where they say nothing. `script` is an `s3://` URL.

    `role` is the name or the ARN of an IAM role, `arguments` are by name without `--`.
    """

    name: str
    glue_version: str
    script: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    worker_type: str | None = None
    workers: int | None = None
    timeout: timedelta | None = None
    concurrent_runs: int | None = None
    connections: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A member of a definition, such as `DefaultArguments.--day`, that is not as wanted. None: it is not there.

    What may be a secret, in an argument, is `****` on both sides.
    """

    member: str
    there: object
    wanted: object

    def __str__(self) -> str:
        there = "not set" if self.there is None else self.there
        return f"{self.member} is {there}, the settings say {self.wanted}"


def script_location(folder: str, sha256: str, name: str) -> str:
    """Return where a job script goes: below `folder` (`s3://…/`), under its hash: none overwrites another."""
    return f"{folder}scripts/{sha256}/{name}"


def definition_of(wanted: WantedJob, there: Definition | None = None) -> dict[str, Any]:
    """Return the definition that `wanted` asks for: the one that is `there`, changed only where it has to be.

    Retries are ours: a retry by Glue would start with the token of the first attempt. `GlueVersion` is always
    given, as Glue's own default moves.
    """
    made: dict[str, Any] = {**(there or {}), "Name": wanted.name}
    made |= {"GlueVersion": wanted.glue_version, "MaxRetries": 0}
    made["Command"] = {"PythonVersion": "3", **made.get("Command", {})} | {
        "Name": _SPARK,
        "ScriptLocation": wanted.script,
    }
    said = {
        "Role": wanted.role,
        "WorkerType": wanted.worker_type,
        "NumberOfWorkers": wanted.workers,
        "Timeout": None if wanted.timeout is None else int(wanted.timeout.total_seconds() // 60),
    }
    made.update({member: value for member, value in said.items() if value is not None})
    if _same_role(wanted.role, (there or {}).get("Role")):
        made["Role"] = (there or {})["Role"]
    if wanted.concurrent_runs is not None:
        made["ExecutionProperty"] = {"MaxConcurrentRuns": wanted.concurrent_runs}
    if wanted.connections is not None:
        made["Connections"] = {"Connections": list(wanted.connections)}
    made[_DEFAULTS] = {
        "--job-language": "python",
        **made.get(_DEFAULTS, {}),
        **{f"--{name.removeprefix('--')}": value for name, value in wanted.arguments.items()},
    }
    if made.get("WorkerType"):
        made = {member: value for member, value in made.items() if member not in _INSTEAD_OF_WORKERS}
    return made


def differences(there: Definition, wanted: WantedJob) -> tuple[Difference, ...]:
    """Return every member in which the definition that is `there` is not as wanted, sorted by name."""
    made = definition_of(wanted, there)
    flat_there, flat_made = dict(_flat(there)), dict(_flat(made))
    return tuple(
        Difference(member=member, there=_shown(member, flat_there.get(member)), wanted=_shown(member, value))
        for member, value in sorted(flat_made.items())
        if flat_there.get(member) != value
    )


def _shown(member: str, value: object) -> object:
    kind, _, name = member.partition(".")
    if kind in (_DEFAULTS, _FIXED) and isinstance(value, str):
        return without_secret(name.removeprefix("--"), value)
    return value


def _flat(definition: Definition) -> Iterator[tuple[str, object]]:
    for member, value in definition.items():
        if isinstance(value, Mapping):
            for name, part in value.items():
                yield f"{member}.{name}", part
        else:
            yield member, value


def _same_role(wanted: str | None, there: object) -> bool:
    """Whether both name one role: Glue takes a name or an ARN, and tells either."""
    if wanted is None or not isinstance(there, str):
        return False
    if wanted.startswith("arn:") and there.startswith("arn:"):
        return wanted == there
    return wanted.rpartition("/")[2] == there.rpartition("/")[2]


def disagreements(there: Definition, wanted: WantedJob, lock: Lock, delivery: Delivery) -> Iterator[Finding]:
    """Yield what to know of the differences between the definition that is `there` and the settings.

    Another Glue version than the lock's, and retries that would find their token expired, keep a run from being
    started; of everything else the job's own definition counts.
    """
    for one in differences(there, wanted):
        match one.member:
            case "GlueVersion":
                yield wrong(
                    _CHECK,
                    f"Glue job {wanted.name!r} runs Glue {one.there}, its lock is for Glue {lock.runtime.version}",
                    f"change the bundle's glue-version and lock again, or update the job: {_FIX}",
                )
            case "MaxRetries" if one.there and delivery.carries_token and lock.installed:
                yield wrong(
                    _CHECK,
                    f"Glue job {wanted.name!r} has MaxRetries {one.there}: a retry by Glue would start with the "
                    "token of the first attempt, expired by then",
                    f"set it to 0 ({_FIX}), or use --delivery wheels",
                )
            case "MaxRetries" if not one.there:  # not told: none
                continue
            case "Command.Name":
                yield wrong(
                    _CHECK,
                    f"Glue job {wanted.name!r} is of the kind {one.there}, not a Spark job ({_SPARK})",
                    _FIX,
                )
            case "DefaultArguments.--job-language" | "Command.PythonVersion" if one.there is None:
                continue  # as Glue has it by default
            case _:
                yield warning(_CHECK, f"Glue job {wanted.name!r}: {one}", f"the job's own counts; {_FIX}")


def hazards(there: Definition, lock: Lock, delivery: Delivery, arguments: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what else in the definition that is `there` would make a run other than the lock and the caller say.

    `arguments` are those of the run, names without `--`.
    """
    job, defaults, fixed = there.get("Name"), there.get(_DEFAULTS) or {}, there.get(_FIXED) or {}
    given = {f"--{name.removeprefix('--')}" for name in arguments}
    for name in sorted(({MODULES, INSTALLER_OPTION, LAUNCH_ID} | given) & fixed.keys()):
        yield wrong(
            _CHECK,
            f"Glue job {job!r} fixes {name}, so what the launch gives would not count",
            f"take it out of the job's {_FIXED}",
        )
    effective = _effective(there, arguments)
    for name in _OTHER_ENVIRONMENTS:
        if effective.get(name):
            whose, out = (
                ("the launch", "leave it out") if name in given else (f"Glue job {job!r}", "take it out there")
            )
            yield wrong(
                _CHECK, f"{whose} has {name}: runs use another environment than the one the lock is for", out
            )
    for name in _BESIDE_THE_LOCK:
        if effective.get(name):
            whose = "the launch" if name in given else f"Glue job {job!r}"
            yield warning(
                _CHECK,
                f"{whose} has {name}: runs import what no lock names",
                "make it a project of your own, and a part of the request",
            )
    if not lock.installed and defaults.get(MODULES):
        yield wrong(
            _CHECK,
            f"Glue job {job!r} installs {defaults[MODULES]} by default, which the lock does not name",
            f"take {MODULES} out of the job's {_DEFAULTS}",
            NotApproved,
        )
    if lock.installed and delivery.carries_token and grows(there, arguments):
        yield warning(
            _CHECK,
            f"runs of Glue job {job!r} scale: a node that is added later installs too, when the token has ended",
            "use --delivery wheels",
        )


def grows(definition: Definition, given: Mapping[str, str]) -> bool:
    """Whether nodes may be added to a run under way that is `given` these arguments, with `--` or without.

    Source: Developer Guide, "Using auto scaling".
    """
    return _effective(definition, given).get("--enable-auto-scaling") == "true"


def _effective(definition: Definition, given: Mapping[str, str]) -> dict[str, Any]:
    ours = {f"--{name.removeprefix('--')}": value for name, value in given.items()}
    return {**(definition.get(_DEFAULTS) or {}), **ours, **(definition.get(_FIXED) or {})}
