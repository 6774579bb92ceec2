"""Glue versions that end, and jobs whose version moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from glue_pkgmgr.infra.lint.rule import Asked, Hit, Level, Rule
from glue_pkgmgr.infra.lint.view import View

ENDED: Mapping[str, date] = {"0.9": date(2026, 4, 1), "1.0": date(2026, 4, 1), "2.0": date(2026, 4, 1)}
"""The first day on which a Glue version starts no run. Source: Glue Developer Guide, "AWS Glue version support
policy"; versions that are not here have no end announced there."""

ENDED_PYTHON_SHELL: Mapping[str, date] = {"3.6": date(2026, 6, 1)}
"""The same for the Python of a Python shell job. Source: Glue Developer Guide, "Adding Python shell jobs"."""

_SOON = timedelta(days=180)
_SHELL, _SPARK = "pythonshell", ("glueetl", "gluestreaming", "")
_MOVES = "auto"


def _ended(view: View, asked: Asked) -> Iterator[Hit]:
    for job in view.jobs:
        shell = job.kind == _SHELL  # its Glue version says nothing
        setting, ends = (job.python_version, ENDED_PYTHON_SHELL) if shell else (job.glue_version, ENDED)
        what = "Python" if shell else "Glue"
        for version in setting.texts:
            if version in ends and (told := _told(f"{what} {version}", ends[version], asked.today)):
                yield Hit(
                    place=setting.place, told=told, level=None if asked.today >= ends[version] else Level.WARNING
                )


def _told(what: str, end: date, today: date) -> str:
    """Return what to tell of a version that ends; empty if that is far ahead."""
    if today >= end:
        return f"{what} starts no runs since {end}"
    days = (end - today).days
    return f"{what} starts no runs from {end} on, {days} days from now" if today >= end - _SOON else ""


def _moving(view: View, asked: Asked) -> Iterator[Hit]:
    for job in view.jobs:
        if job.kind in _SPARK and not any(job.glue_version.texts):
            yield Hit(
                place=job.resource.at(), told="the job names no Glue version: it has whatever is the default"
            )
        elif _MOVES in job.glue_version.texts:
            yield Hit(place=job.glue_version.place, told="the job's Glue version is auto: AWS moves it on")


RULES = (
    Rule(
        id="GPK601",
        name="glue-version-ended",
        title="Glue version out of support",
        reason="After its end of life a version starts no runs and gets no fixes.",
        fix="Move to a version with an open end (5.1, or 6.0 with Python 3.13), and lock the job's packages anew: "
        "another version has another Python and other pre-installed releases.",
        level=Level.ERROR,
        find=_ended,
    ),
    Rule(
        id="GPK602",
        name="glue-version-moves",
        title="Glue version not pinned",
        reason="The version decides Python, glibc and some hundred pre-installed releases: where it moves, pins "
        "do not hold.",
        fix="Set GlueVersion to the version that the packages are locked for.",
        level=Level.WARNING,
        find=_moving,
    ),
)
