"""What a job asks for: `boto3,glueutils==0.2.0`, parsed once and to the letter."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from glue_pkgmgr.core.lookalikes import lookalike
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.errors import SettingsError

_LONGEST = 16_384  # characters; far above any real request, far below what a parser could be choked with
_ITEM = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*"  # project
    r"\s*(\[[A-Za-z0-9._,\s-]*\])?"  # extras
    r"\s*([<>=!~].*)?",  # specifier
    re.ASCII,
)
_NAME_END = re.compile(r"[\s\[<>=!~;@(]")
_SINGLE_EQUALS = re.compile(r"(?<![<>=!~])=(?!=)")


@dataclass(frozen=True, slots=True)
class RequestItem:
    """One requirement of a request: a project, its extras (normalised, sorted), a specifier, and nothing else."""

    project: ProjectName
    specifier: SpecifierSet
    extras: tuple[str, ...] = ()

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.project}{extras}{self.specifier}"


Request = tuple[RequestItem, ...]
"""What a job asks for, in the order it was written."""


def parse_request(text: str, internal: Collection[ProjectName] = ()) -> Request:
    """Return the items of a comma-separated request.

    A comma inside `[…]`, and one before a comparison (`pkg>=1,<2`), belongs to its item, although Glue
    itself splits there. Blanks around items are dropped, empty items refused. `internal` names are suggested
    where a name only looks like one of them.

    Raises: SettingsError naming the item and the rule. Nothing has been contacted then.
    """
    _refuse_odd_characters(text, internal)  # before splitting: the length too is bounded then
    items = [parse_item(item) for item in _split(text)]
    if not items:
        raise SettingsError("the request is empty; write for example 'boto3,glueutils==0.2.0'")
    return _without_repeats(items)


def parse_items(items: Iterable[str], internal: Collection[ProjectName] = ()) -> Request:
    """Return the items of a request that is already a list, as in the settings.

    Raises: SettingsError as `parse_request` does.
    """
    return _without_repeats([parse_item(item, internal) for item in items])


def parse_item(text: str, internal: Collection[ProjectName] = ()) -> RequestItem:
    """Return one item: a PEP 508 name with extras and a specifier.

    Raises: SettingsError for URLs, paths, options, environment markers and whatever else PEP 508 allows, and
    for characters other than printable ASCII.
    """
    _refuse_odd_characters(text, internal)
    text = text.strip()
    if not _ITEM.fullmatch(text):
        raise SettingsError(
            f"{text[:120]!r} is not a request item: write a project with an optional specifier, such as "
            "'boto3', 'pkg[extra]>=1.2'; URLs, paths, options and markers are not accepted"
        )
    try:
        requirement = Requirement(text)
    except InvalidRequirement as e:
        why = str(e).splitlines()[0]
        if _SINGLE_EQUALS.search(text):
            why = "an exact version is written with two equals signs, such as 'pkg==1.2'"
        raise SettingsError(f"{text[:120]!r} is not a request item: {why}") from e
    if requirement.url or requirement.marker:
        raise SettingsError(f"{text[:120]!r} is not a request item: URLs and environment markers are not accepted")
    _refuse_arbitrary_text(text, requirement.specifier)
    extras = sorted({canonicalize_name(extra) for extra in requirement.extras})
    return RequestItem(project_name(requirement.name), requirement.specifier, tuple(extras))


def _refuse_arbitrary_text(text: str, specifiers: SpecifierSet) -> None:
    """Refuse `===` with something that is no version: PEP 440 lets any text stand there, a URL included."""
    for specifier in specifiers:
        if specifier.operator == "===":
            try:
                Version(specifier.version)
            except InvalidVersion as e:
                raise SettingsError(f"{text[:120]!r}: {specifier.version[:120]!r} is not a version") from e


def _refuse_odd_characters(text: str, internal: Collection[ProjectName]) -> None:
    if len(text) > _LONGEST:
        raise SettingsError(f"the request is {len(text)} characters long; at most {_LONGEST} are accepted")
    for character in text:
        if not character.isascii() or not character.isprintable():
            raise SettingsError(
                f"the request holds U+{ord(character):04X}: only printable ASCII characters are accepted"
                f"{_meant(text, internal)}"
            )


def _meant(text: str, internal: Collection[ProjectName]) -> str:
    """Return the question whether one of `internal` is meant; empty if nothing in `text` looks like one."""
    names = (name for part in text.split(",") if (name := _NAME_END.split(part.strip(), maxsplit=1)[0]))
    found = next((ours for name in names if (ours := lookalike(name, internal))), None)
    return f"; did you mean {found}?" if found else ""


def _split(text: str) -> list[str]:
    """Split at commas that end an item: not inside brackets, and not where a comparison goes on."""
    items = [""]
    depth = 0
    for position, character in enumerate(text):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and not depth and text[position + 1 :].lstrip()[:1] not in set("<>=!~"):
            items.append("")
        else:
            items[-1] += character
    stripped = [item.strip() for item in items]
    if stripped == [""]:
        return []
    if "" in stripped:
        raise SettingsError(f"{text[:120]!r} has an empty item: two commas with nothing between, or one at an end")
    return stripped


def _without_repeats(items: list[RequestItem]) -> Request:
    seen: set[ProjectName] = set()
    for item in items:
        if item.project in seen:
            raise SettingsError(f"{item.project} is requested twice; write one item with all its conditions")
        seen.add(item.project)
    return tuple(items)
