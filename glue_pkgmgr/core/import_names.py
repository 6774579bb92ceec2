"""What a wheel lets a program import, as the names of its files tell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

_MOST = 50  # a namespace full of modules need not be imported to the last one


def import_names(members: Iterable[str]) -> tuple[str, ...]:
    """Return the outermost modules and packages among the files of a wheel, sorted, at most 50.

    A folder without `__init__.py` is a namespace, which others may share: what lies in it is named instead.

    Source: binary distribution format (`.dist-info`, `.data`); PEP 420 (namespace packages).
    """
    modules = {parts for member in members if (parts := _module(member))}
    packages = {parts[:-1] for parts in modules if parts[-1] == "__init__"}
    found = set()
    for parts in modules:
        outermost = next((parts[:n] for n in range(1, len(parts)) if parts[:n] in packages), None)
        if outermost or parts[-1] != "__main__":
            found.add(outermost or parts)
    return tuple(sorted(".".join(parts) for parts in found))[:_MOST]


def _module(member: str) -> tuple[str, ...]:
    """Return the dotted name of a module's file as its parts, none for any other file."""
    path = PurePosixPath(member)
    if path.suffix not in (".py", ".so") or path.parts[0].endswith((".dist-info", ".data")):
        return ()
    # `x.cpython-311-x86_64-linux-gnu.so` is the module x.
    parts = (*path.parts[:-1], path.name.partition(".")[0])
    return parts if all(part.isidentifier() for part in parts) else ()
