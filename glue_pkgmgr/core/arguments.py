"""The arguments of a job run: what Glue would refuse or misread, and what must not be readable there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from glue_pkgmgr.core.job import INSTALLER_OPTION, LAUNCH_ID, MODULES, ModuleArguments
from glue_pkgmgr.core.secret_arguments import plain_secret
from glue_pkgmgr.errors import SettingsError

_MOST_BYTES = 260 * 1024
_NAME = re.compile(r"--[A-Za-z][A-Za-z0-9_.:-]*", re.ASCII)
# What `argparse`, on which Glue's parser is built, takes for a number; `-1e5` is an option to it.
_NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+", re.ASCII)
_OURS = frozenset({MODULES, INSTALLER_OPTION})
# Glue sets these itself, or reserves them (Developer Guide, "Job parameters").
_RESERVED = frozenset({"--JOB_NAME", "--JOB_ID", "--JOB_RUN_ID", "--SECURITY_CONFIGURATION"}) | frozenset(
    {"--debug", "--mode", "--endpoint"}
)
# What Glue's parser always knows, beside the names a script asks it for.
_PARSED = _RESERVED - {"--debug", "--mode", "--endpoint"} | {
    "--TempDir",
    "--RedshiftTempDir",
    "--enable-data-lineage",
    "--encryption-type",
    "--job-bookmark-from",
    "--job-bookmark-option",
    "--job-bookmark-to",
}
_NOT_GIVEN = {
    **dict.fromkeys(_OURS, "is decided by the lock; change the bundle or use --modules"),
    **dict.fromkeys(_RESERVED, "is reserved by Glue and cannot be set"),
    LAUNCH_ID: "is set by the launch; give the id as --launch-id",
    # Glue takes it from a run, too: whoever may launch a job would choose what runs as it.
    "--scriptLocation": "would run another script than the job's; change `script` of the job instead",
}
_HIDDEN = re.compile(rf"(?:^|\s)({'|'.join(sorted(_RESERVED | _OURS | {LAUNCH_ID}))})(?:=|\s|$)")
_UNSPEAKABLE = re.compile("[\0\ud800-\udfff]")


def argument_faults(given: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for every reason why no run can get the arguments `given` (names with or without `--`).

    Source: AWS Glue Developer Guide, "Job parameters"; its `getResolvedOptions`, which reads a value that starts
    with `-` as an option, and up to Glue 5.1 the beginning of an option's name as that option.
    """
    seen: set[str] = set()
    found: list[str] = []
    for name, value in given.items():
        key = f"--{name.removeprefix('--')}"
        if key in seen:
            found.append(f"argument {key} is given twice")
        seen.add(key)
        fault = _name_fault(name, key) or next(_value_faults(key, value), "")
        if fault:
            found.append(fault)
    return tuple(found)


def run_arguments(given: Mapping[str, str], modules: ModuleArguments, launch: str | None = None) -> dict[str, str]:
    """Return the arguments of a job run: `given` by the caller, the modules, and the id of the `launch`.

    Raises: SettingsError that tells all `argument_faults`, or that they are above 260 kB together.
    """
    if faults := argument_faults(given):
        raise SettingsError("\n".join(faults))
    arguments = {f"--{name.removeprefix('--')}": value for name, value in given.items()}
    arguments.update(modules.as_arguments())
    if launch is not None:
        arguments[LAUNCH_ID] = launch
    size = sum(len(f"{key}{value}".encode()) for key, value in arguments.items())
    if size > _MOST_BYTES:
        raise SettingsError(
            f"the job arguments are {size} bytes long; Glue accepts {_MOST_BYTES}: put what is long into S3 and "
            "give its URL"
        )
    return arguments


def _name_fault(name: str, key: str) -> str:
    if why := _NOT_GIVEN.get(key):
        return f"argument {key} {why}"
    if not _NAME.fullmatch(key):
        return f"{name!r} cannot be the name of a job argument: a letter, then letters, digits and '_.:-'"
    if taken := sorted(known for known in _PARSED if known.startswith(key) and known != key):
        return f"argument {key}: Glue's parser takes it for the beginning of {', '.join(taken)}; use another name"
    return ""


def _value_faults(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"argument {key}: {value!r} is not a text; Glue arguments are texts"
        return
    # A hidden option before a leading dash: it is the graver of the two.
    if hidden := _HIDDEN.search(value):
        yield f"argument {key}: there is {hidden[1]} in its value, which could be read as that argument"
    if value.startswith("-") and not _NEGATIVE_NUMBER.fullmatch(value):
        yield (
            f"argument {key}: Glue's parser takes a value that starts with '-' for an option; "
            "put something before the dash and strip it in the job"
        )
    if _UNSPEAKABLE.search(value):
        yield f"argument {key} holds a character that no command line can"
    if why := plain_secret(key.removeprefix("--"), value):
        yield (
            f"argument {key}: {why}, and whoever may read job runs reads arguments; keep it in a secret store "
            "and give the job its name"
        )
