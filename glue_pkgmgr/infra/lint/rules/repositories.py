"""CodeArtifact: whether what jobs install from is closed, and whose names are whose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.infra.lint.rule import Asked, Hit, Level, Rule
from glue_pkgmgr.infra.lint.view import Directory, PackageGroup, Repository, Resource, View

_IN_A_URL = re.compile(r"/pypi/(?:d/[^/\s]+/)?([\w.${}-]+)/?")


def _open(view: View, asked: Asked) -> Iterator[Hit]:
    directory = Directory((one.resource, one.called) for one in view.repositories)
    by_resource = {one.resource: one for one in view.repositories}
    installed_from = _installed_from(view, directory)
    for repository in view.repositories:
        if source := _source(repository, directory, by_resource):
            yield Hit(
                place=repository.resource.at(*repository.path),
                told=f"every release of {source} is installable from {_name(repository)}",
            )
        elif repository.external and (len(view.repositories) == 1 or repository.resource in installed_from):
            yield Hit(
                place=repository.resource.at(*repository.path),
                told=f"jobs install from {_name(repository)}, which is connected to {repository.external[0]}",
            )


def _source(repository: Repository, directory: Directory, by_resource: Mapping[Resource, Repository]) -> str:
    """Return the external connection that `repository` reaches through its upstreams; empty if none is known."""
    seen = {repository.resource}
    ahead = list(repository.upstreams)
    while ahead:
        for resource in directory.meant(ahead.pop()):
            if resource not in seen:
                seen.add(resource)
                one = by_resource[resource]
                if one.external:
                    return one.external[0]
                ahead += one.upstreams
    return ""


def _installed_from(view: View, directory: Directory) -> set[Resource]:
    """Return the repositories that some URL here names as an index."""
    return {
        resource
        for one in view.texts
        for text in one.texts
        for found in _IN_A_URL.finditer(text)
        for resource in directory.meant(found[1])
    }


def _name(repository: Repository) -> str:
    return next(iter(repository.called), repository.resource.name)


def _no_origin_control(view: View, asked: Asked) -> Iterator[Hit]:
    made = [*view.domains, *(one.resource for one in view.repositories)]
    if not made:
        return
    blocking = [one for one in view.package_groups if one.blocks_external]
    if not blocking:
        yield Hit(place=made[0].at(), told="no package group keeps outside releases of internal names out")
        return
    for name in sorted(asked.internal):
        if not any(_covers(one, name) for one in blocking):
            yield Hit(
                place=blocking[0].resource.at("Pattern"),
                told=f"no package group that blocks outside releases covers the internal name {name}",
            )


def _covers(group: PackageGroup, name: ProjectName) -> bool:
    """Whether a pattern of `group` covers the Python project `name`. A pattern that is not known may.

    Source: CodeArtifact User Guide, "Package group definition syntax": `/pypi//name$` is one name, `~` begins a
    word, `*` goes on.
    """
    return any("${" in pattern or _matches(pattern, name) for pattern in group.patterns)


def _matches(pattern: str, name: str) -> bool:
    if pattern in ("/*", "/pypi/*", "/pypi//*"):
        return True
    if not pattern.startswith("/pypi//"):
        return False
    rest = pattern.removeprefix("/pypi//")
    if rest.endswith("$"):
        return rest[:-1] == name
    if rest.endswith("~"):
        return name == rest[:-1] or name.startswith(tuple(rest[:-1] + mark for mark in "-_."))
    return rest.endswith("*") and name.startswith(rest[:-1])


RULES = (
    Rule(
        id="GPK401",
        name="open-repository",
        title="A repository that jobs install from reaches a public index",
        reason="Every release that anybody puts there is installable at once: nothing is approved.",
        fix="Leave the repository that jobs use without upstream and external connection; keep the connection in "
        "a store beside it, and copy approved releases over (codeartifact:CopyPackageVersions).",
        level=Level.ERROR,
        find=_open,
    ),
    Rule(
        id="GPK402",
        name="no-origin-control",
        title="No origin control for internal names",
        reason="Without it a public release of the same name, with a higher version, takes the place of an "
        "internal one.",
        fix="Make a package group for each internal name (pattern /pypi//NAME$), with Publish ALLOW, "
        "ExternalUpstream BLOCK and InternalUpstream BLOCK; before the name is first published.",
        level=Level.WARNING,
        find=_no_origin_control,
    ),
)
