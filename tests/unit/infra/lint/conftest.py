from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import settings

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.infra.lint.registry import judge
from glue_pkgmgr.infra.lint.rule import Asked
from glue_pkgmgr.infra.lint.source import parse, view_of
from glue_pkgmgr.infra.lint.view import together

# As in tests/unit/core: the profile counts for the whole process, whichever folder is collected last.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("repeatable")

TEMPLATES = Path(__file__).parent / "templates"
TODAY = date(2026, 11, 24)


@pytest.fixture
def judged():
    """Return what the rules say of the texts of templates, which are judged together."""

    def judged(*texts, today=TODAY, internal=(), suppressions=(), file="t.yaml"):
        asked = Asked(today=today, internal=frozenset(map(ProjectName, internal)))
        views = [view_of(parse(text, file), file) for text in texts]
        return judge(together(views), asked, suppressions)

    return judged


@pytest.fixture
def found(judged):
    """Return the ids of the rules that find something, with where: `GPK101 Job`."""

    def found(*texts, **options):
        return [f"{one.rule.id} {one.place.resource}" for one in judged(*texts, **options).findings]

    return found


@pytest.fixture
def template():
    """Return the text of a template that lies beside these tests."""
    return lambda name: (TEMPLATES / name).read_text(encoding="utf-8")
