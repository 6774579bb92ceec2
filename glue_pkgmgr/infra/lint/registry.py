"""Every rule, and what all of them find in templates that belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.lint.rule import Asked, Finding, Hit, Level, Rule
from glue_pkgmgr.infra.lint.rules import (
    installs,
    network,
    permissions,
    repositories,
    secrets,
    states,
    versions,
)
from glue_pkgmgr.infra.lint.view import Place, Suppression, View

COMMAND_LINE = "command line"
"""The file of a suppression that stands in none."""

# It looks at the suppressions, which only `judge` knows all of.
_SUPPRESSIONS = Rule(
    id="GPK001",
    name="bad-suppression",
    title="A suppression that does not count",
    reason="A rule that is switched off without a reason is a rule that nobody knows of; one that suppresses "
    "nothing hides what comes later.",
    fix="Write the id of a rule, and say why it does not apply; take out what suppresses nothing.",
    level=Level.WARNING,
    find=lambda view, asked: iter(()),
)

RULES: Sequence[Rule] = tuple(
    sorted(
        (
            _SUPPRESSIONS,
            *(
                rule
                for module in (secrets, states, installs, permissions, repositories, network, versions)
                for rule in module.RULES
            ),
        ),
        key=lambda rule: rule.id,
    )
)
"""Every rule, by id."""

_BY_ID: Mapping[str, Rule] = {rule.id: rule for rule in RULES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, by file, line and rule; `suppressed` apart, and `unseen`, what nothing could be said of."""

    findings: tuple[Finding, ...]
    suppressed: tuple[Finding, ...]
    unseen: tuple[Place, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing graver than a note was found."""
        return all(finding.level is Level.NOTE for finding in self.findings)


def judge(view: View, asked: Asked, suppressions: Sequence[Suppression] = ()) -> Report:
    """Return what the rules find in `view`; `suppressions` are added to those in it."""
    own = [one for resource in view.resources for one in resource.suppressions]
    all_of_them = [*own, *view.suppressions, *suppressions]
    counting = [one for one in all_of_them if one.rule in _BY_ID and one.reason]
    found: dict[Finding, None] = {}
    used: set[int] = set()
    for rule in RULES:
        for hit in rule.find(view, asked):
            by = [one for one in counting if _applies(one, rule, hit.place)]
            used.update(map(id, by))
            found[_finding(rule, hit, by[0] if by else None)] = None
    for one in all_of_them:
        if told := _objection(one, used=id(one) in used):
            level = Level.NOTE if one in counting else None
            found[_finding(_SUPPRESSIONS, Hit(place=one.place, told=told, level=level), None)] = None
    ordered = sorted(
        found, key=lambda one: (one.place.file, one.place.line, one.rule.id, one.place.path, one.told)
    )
    return Report(
        findings=tuple(one for one in ordered if one.suppressed is None),
        suppressed=tuple(one for one in ordered if one.suppressed is not None),
        unseen=view.unseen,
    )


def suppression(text: str) -> Suppression:
    """Return what `RULE=REASON` or `RULE@RESOURCE=REASON` says. Raises: SettingsError for anything else."""
    rule, equals, reason = text.partition("=")
    rule, _, resource = rule.strip().partition("@")
    if rule not in _BY_ID:
        raise SettingsError(f"no rule {rule[:60]!r} to suppress; the rules are {', '.join(_BY_ID)}")
    if not equals or not reason.strip():
        raise SettingsError(f"the suppression of {rule} has no reason; write {rule}=REASON")
    place = Place(file=COMMAND_LINE, line=1, resource=resource, path="--suppress")
    return Suppression(rule=rule, reason=reason.strip(), place=place)


def _finding(rule: Rule, hit: Hit, by: Suppression | None) -> Finding:
    return Finding(rule=rule, place=hit.place, told=hit.told, level=hit.level or rule.level, suppressed=by)


def _applies(one: Suppression, rule: Rule, place: Place) -> bool:
    """Whether a suppression covers a finding: of its rule and file, and of its resource if it stands in one."""
    return (
        one.rule == rule.id
        and one.place.file in (place.file, COMMAND_LINE)
        and one.place.resource in (place.resource, "")
    )


def _objection(one: Suppression, *, used: bool) -> str:
    if one.rule not in _BY_ID:
        return f"no rule {one.rule[:60]!r}" if one.rule else "a suppression without the id of a rule"
    if not one.reason:
        return f"{one.rule} is suppressed without a reason, and so it counts"
    return "" if used else f"{one.rule} is suppressed, but finds nothing here"


def counts(findings: Sequence[Finding]) -> Iterator[tuple[Level, int]]:
    """Yield how many findings there are of each level, the gravest first; levels without any are left out."""
    for level in Level:
        if number := sum(one.level is level for one in findings):
            yield level, number
