"""The wiring of `stack lint`: like `project` it names adapters, but needs no settings. Usable from Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from glue_pkgmgr.adapters.template_files import TemplateFiles
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.infra.lint.registry import Report, suppression
from glue_pkgmgr.infra.lint.rule import Asked
from glue_pkgmgr.verbs.stack_lint import lint


def lint_templates(
    names: Sequence[str],
    *,
    internal: Iterable[str] = (),
    suppress: Iterable[str] = (),
    today: date | None = None,
) -> Report:
    """Return what is wrong with templates: files, folders of the CDK, or `-` for standard input.

    `internal` are names of projects that may only ever come from their owner; `suppress` has `RULE=REASON` or
    `RULE@RESOURCE=REASON`; `today` is by default the day it is in UTC.

    Raises: SettingsError for a file that cannot be read or is no template, a name that is none, or a suppression
    without a reason.
    """
    asked = Asked(
        today=today or datetime.now(UTC).date(),
        internal=frozenset(map(project_name, internal)),
    )
    return lint(names, files=TemplateFiles(), asked=asked, suppressions=[suppression(one) for one in suppress])
