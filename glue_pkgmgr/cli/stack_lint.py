"""`glue-pkgmgr stack lint`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session, today
from glue_pkgmgr.errors import EXIT_DONE, NotApproved

if TYPE_CHECKING:
    from glue_pkgmgr.infra.lint.registry import Report
    from glue_pkgmgr.infra.lint.rule import Finding, Rule
    from glue_pkgmgr.infra.lint.view import Place


@click.command(
    "lint",
    short_help="Find what is wrong with templates of your own.",
    epilog=examples(
        "glue-pkgmgr stack lint template.yaml network.yaml",
        "glue-pkgmgr stack lint --internal glueutils cdk.out",
        "terraform show -json plan.out | glue-pkgmgr stack lint --format sarif -",
    ),
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "sarif"]),
    default="text",
    help="How to tell: a table, or SARIF 2.1.0.",
)
@click.option("--internal", multiple=True, metavar="NAME", help="A project that only you publish. Repeatable.")
@click.option(
    "--suppress",
    multiple=True,
    metavar="RULE[@RESOURCE]=REASON",
    help="Leave out what a rule finds, and say why. Repeatable.",
)
@click.option("--rules", is_flag=True, help="Show the rules, and lint nothing.")
@click.argument("files", nargs=-1, metavar="FILE...")
@click.pass_obj
def lint(  # noqa: PLR0917 - click hands them over by name
    session: Session,
    form: str,
    internal: tuple[str, ...],
    suppress: tuple[str, ...],
    rules: bool,
    files: tuple[str, ...],
) -> int:
    """Find secrets, open indexes, unpinned modules, wide permissions and missing parts in templates.

    FILE is a CloudFormation template in JSON or YAML, an output folder of the CDK, what `terraform show -json`
    prints, or - for standard input. Files that are given together are judged together. Nothing is contacted, and
    no settings file is needed.

    A rule is suppressed for one resource, with a reason, by its metadata: Metadata: {glue-pkgmgr:
    {rules_to_suppress: [{id: GPK201, reason: ...}]}}; in the Metadata of the template for all of it.

    Exit status: 0 when nothing but notes is found, 3 when something is, 2 when a file cannot be read.
    """
    from glue_pkgmgr.infra.lint.registry import RULES
    from glue_pkgmgr.template_lint import lint_templates

    if rules:
        session.output.result({"rules": [_rule_data(rule) for rule in RULES]}, _rule_table(RULES))
        return EXIT_DONE
    if form == "sarif" and session.output.as_json:
        raise click.UsageError("--json and --format sarif exclude each other")
    if not files:
        raise click.UsageError("FILE is missing")
    report = lint_templates(files, internal=internal, suppress=suppress, today=today())
    if form == "sarif":
        _tell_sarif(session, report)
    else:
        session.output.result(_data(report), *_parts(report))
    for place in report.unseen:
        session.output.progress(f"not judged: the policy of {place.resource} is known only after apply")
    if report.clean:
        return EXIT_DONE
    session.output.conclude(_summary(report))
    return NotApproved.exit_code


def _tell_sarif(session: Session, report: Report) -> None:
    import json

    from glue_pkgmgr.infra.lint.sarif import sarif

    session.output.line(json.dumps(sarif(report, _version()), indent=2))


def _version() -> str:
    from importlib.metadata import version

    return version("glue-pkgmgr")


def _parts(report: Report) -> list[str | Table]:
    parts: list[str | Table] = []
    if report.findings:
        fixes = dict(sorted({one.rule.id: one.rule for one in report.findings}.items()))
        parts += [_table("finding", report.findings), ""]
        for rule in fixes.values():
            parts += [f"{rule.id} {rule.title}", f"  why: {rule.reason}", f"  fix: {rule.fix}"]
    if report.suppressed:
        parts += [""] if parts else []
        parts.append(_table("suppressed", report.suppressed))
    if report.clean:
        parts += [""] if parts else []
        parts.append(_summary(report))
    return parts


def _table(heading: str, findings: Sequence[Finding]) -> Table:
    rows = [
        (
            _where(one.place),
            one.rule.id,
            one.level.value,
            one.place.resource,
            one.told,
            one.suppressed.reason if one.suppressed else "",
        )
        for one in findings
    ]
    columns = ("where", "rule", "level", "resource", heading, "reason")
    with_reason = len(columns) if heading == "suppressed" else len(columns) - 1
    return Table(columns[:with_reason], [row[:with_reason] for row in rows])


def _where(place: Place) -> str:
    return f"{place.file}:{place.line}"


def _summary(report: Report) -> str:
    from glue_pkgmgr.infra.lint.registry import counts

    found = [_number(number, level.value) for level, number in counts(report.findings)] or ["nothing found"]
    suppressed = [f"{len(report.suppressed)} suppressed"] if report.suppressed else []
    return ", ".join([*found, *suppressed])


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _rule_table(rules: Sequence[Rule]) -> Table:
    return Table(
        ("rule", "level", "name", "finds"), [(one.id, one.level.value, one.name, one.title) for one in rules]
    )


def _rule_data(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "name": rule.name,
        "title": rule.title,
        "level": rule.level.value,
        "reason": rule.reason,
        "fix": rule.fix,
        "help": rule.help,
    }


def _data(report: Report) -> dict[str, object]:
    rules = {one.rule.id: one.rule for one in (*report.findings, *report.suppressed)}
    return {
        "clean": report.clean,
        "findings": [_finding_data(one) for one in report.findings],
        "suppressed": [_finding_data(one) for one in report.suppressed],
        "not_judged": [_place_data(one) for one in report.unseen],
        "rules": [_rule_data(rule) for rule in rules.values()],
    }


def _finding_data(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule.id,
        "level": finding.level.value,
        **_place_data(finding.place),
        "finding": finding.told,
        "suppressed_because": finding.suppressed.reason if finding.suppressed else None,
    }


def _place_data(place: Place) -> dict[str, object]:
    return {"file": place.file, "line": place.line, "resource": place.resource, "path": place.path}
