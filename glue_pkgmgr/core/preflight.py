"""What is found before a launch: judgements as values, all at once, and the one error they amount to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from glue_pkgmgr.errors import (
    GluePkgmgrError,
    IndexAccessError,
    NotApproved,
    NotInstallable,
    RemoteError,
    SettingsError,
)


class State(StrEnum):
    """How something stands before a launch. An ERROR keeps the run from being started, a WARNING does not."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


# The gravest first: what no waiting and no other network makes right comes before what may pass by itself.
_GRAVITY: tuple[type[GluePkgmgrError], ...] = (
    NotApproved,
    NotInstallable,
    SettingsError,
    IndexAccessError,
    RemoteError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found: `told` is the sentence, `advice` what to do about it.

    `error` is the error that it is, if it is one; its exit status counts.
    """

    check: str
    state: State
    told: str
    advice: str = ""
    error: type[GluePkgmgrError] = SettingsError

    def __str__(self) -> str:
        return f"{self.told}; {self.advice}" if self.advice else self.told


def fine(check: str, told: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(check=check, state=State.OK, told=told)


def warning(check: str, told: str, advice: str) -> Finding:
    """Return a finding that keeps nothing from being started."""
    return Finding(check=check, state=State.WARNING, told=told, advice=advice)


def wrong(check: str, told: str, advice: str = "", error: type[GluePkgmgrError] = SettingsError) -> Finding:
    """Return a finding that keeps the run from being started."""
    return Finding(check=check, state=State.ERROR, told=told, advice=advice, error=error)


def failed(check: str, error: GluePkgmgrError) -> Finding:
    """Return the finding that a check ended in `error`."""
    return wrong(check, str(error), error=_kind(type(error)))


def errors_of(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return those findings that keep the run from being started, the gravest first."""
    found = [one for one in findings if one.state is State.ERROR]
    return tuple(sorted(found, key=lambda one: _GRAVITY.index(_kind(one.error))))


def warnings_of(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return those findings that are worth knowing and keep nothing from being started."""
    return tuple(one for one in findings if one.state is State.WARNING)


def raise_errors(job: str, findings: Iterable[Finding]) -> None:
    """Raise one error that tells every finding that is one; it is of the kind of the gravest of them.

    Gravest first: refused by the allow-list, not installable, settings or job definition, index, AWS.
    """
    found = errors_of(findings)
    if not found:
        return
    if len(found) == 1:
        raise found[0].error(str(found[0]))
    listed = "\n".join(f"  {text}" for text in _without_repeats(found))
    raise found[0].error(f"{len(found)} things keep {job} from being launched:\n{listed}")


def _without_repeats(found: Iterable[Finding]) -> Iterator[str]:
    """Yield what is told of each finding; a reason that several have, such as no credentials, only once."""
    told: set[str] = set()
    for one in found:
        what, _, why = str(one).partition(": ")
        yield f"{one.check}: {what}: the same" if why and why in told else f"{one.check}: {_indented(str(one))}"
        told.add(why)


def _kind(error: type[GluePkgmgrError]) -> type[GluePkgmgrError]:
    return next((kind for kind in _GRAVITY if issubclass(error, kind)), SettingsError)


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
