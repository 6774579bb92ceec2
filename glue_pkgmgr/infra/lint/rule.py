"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.infra.lint.view import Place, Suppression, View


class Level(StrEnum):
    """How grave a finding is, in the words of SARIF: an ERROR breaks or leaks, a WARNING may."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the templates do not say: the day it is, and the projects that may only ever come from their owner."""

    today: date
    internal: frozenset[ProjectName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One place that a rule objects to; `told` quotes no secret, `level` is given where it is not the rule's."""

    place: Place
    told: str
    level: Level | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that is looked for. `name` and `id` never change; `reason` and `fix` are whole sentences."""

    id: str
    name: str
    title: str
    reason: str
    fix: str
    level: Level
    find: Callable[[View, Asked], Iterator[Hit]]

    @property
    def help(self) -> str:
        """The link to what the README says of it."""
        return f"README.md#{self.id.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One hit of one rule; `suppressed` by whom, if it is."""

    rule: Rule
    place: Place
    told: str
    level: Level
    suppressed: Suppression | None = None
