"""What a job installs, and from where: indexes beside the private one, releases that nobody named."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier

from glue_pkgmgr.core.job import MODULES
from glue_pkgmgr.infra.lint.document import Table
from glue_pkgmgr.infra.lint.rule import Asked, Hit, Level, Rule
from glue_pkgmgr.infra.lint.rules.states import started_jobs
from glue_pkgmgr.infra.lint.view import View, job_arguments

_EXTRA = re.compile(r"--extra-index-url|(?:PIP|UV)_EXTRA_INDEX_URL|(?:^|\s)extra-index-url\s*=", re.IGNORECASE)
_EXTRA_NAMES = ("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL")
_TOLD_TO_PEOPLE = ("Description", "description", "Comment")
_FILE = re.compile(r"\.(?:whl|zip|tar\.gz|egg|txt)$", re.IGNORECASE)
_OPTION = re.compile(r"(?<!\s)\s+-{1,2}[a-z].*", re.IGNORECASE | re.DOTALL)
_STARTS_A_SPECIFIER = tuple("<>=!~")


def _extra_index(view: View, asked: Asked) -> Iterator[Hit]:
    for one in view.texts:
        if one.name in _TOLD_TO_PEOPLE:
            continue
        if one.name in _EXTRA_NAMES or any(map(_EXTRA.search, (one.name, *one.texts))):
            yield Hit(place=one.place, told=f"{one.name or 'a text'} adds an index beside the private one")


def _unpinned(view: View, asked: Asked) -> Iterator[Hit]:
    for argument in job_arguments(view):
        if argument.name == MODULES:
            for item in dict.fromkeys(item for text in argument.texts for item in unpinned(text)):
                yield Hit(place=argument.place, told=f"the job installs {item}")
    for machine in view.state_machines:
        for definition in machine.definitions:
            found = [
                f"the state {state!r} has a job install {item}"
                for state, arguments in started_jobs(definition)
                for item in unpinned(_literal(arguments))
            ]
            for told in dict.fromkeys(found):
                yield Hit(place=definition.place, told=told)


def _literal(arguments: Table) -> str:
    value = arguments.get(MODULES)
    # JSONata and references are made when it runs.
    return value if isinstance(value, str) and not value.startswith(("{%", "$")) else ""


def unpinned(text: str) -> Iterator[str]:
    """Yield what is not pinned in the value of `--additional-python-modules`, each as a few words.

    A file, a requirements file among them, names what it holds; a placeholder is not known.
    """
    for item in _split(text):
        # The options of pip that a Python shell job takes inside the value are another matter.
        bare = _OPTION.sub("", item).strip()
        if not bare or bare.startswith("-") or "${" in bare or (_FILE.search(bare) and " @ " not in bare):
            continue
        if bare.startswith(("git+", "hg+", "svn+", "bzr+")):
            yield "from a version control system, without a pinned release"
            continue
        try:
            requirement = Requirement(bare)
        except InvalidRequirement:
            yield "what is no requirement"
            continue
        if requirement.url:
            yield f"{requirement.name} from a URL, without a pinned release"
        elif not any(map(_exact, requirement.specifier)):
            yield f"{requirement.name}{requirement.specifier} without an exact version"


def _exact(specifier: Specifier) -> bool:
    return specifier.operator == "===" or (specifier.operator == "==" and not specifier.version.endswith(".*"))


def _split(text: str) -> list[str]:
    """Split at commas, but not inside brackets or before a comparison."""
    found = [""]
    depth = 0
    for position, character in enumerate(text):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if (
            character == ","
            and depth <= 0
            and not text[position + 1 : position + 40].lstrip().startswith(_STARTS_A_SPECIFIER)
        ):
            found.append("")
        else:
            found[-1] += character
    return [item.strip() for item in found]


RULES = (
    Rule(
        id="GPK201",
        name="extra-index-url",
        title="A second package index",
        reason="pip takes the highest version from any of its indexes: whoever registers the name of an internal "
        "project on a public one, with a higher version, has their code run (dependency confusion).",
        fix="Use --index-url with the one approved repository, and bring third-party releases into that.",
        level=Level.ERROR,
        find=_extra_index,
    ),
    Rule(
        id="GPK202",
        name="unpinned-module",
        title="A module without an exact version",
        reason="Each run installs whatever is newest then: a release of somebody else breaks or takes over a job "
        "that nobody changed.",
        fix=f"Pin every item of {MODULES} with ==, or deliver a requirements file with hashes from a lock.",
        level=Level.WARNING,
        find=_unpinned,
    ),
)
