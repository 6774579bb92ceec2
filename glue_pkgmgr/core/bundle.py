"""A named request, kept in the settings."""

from __future__ import annotations

from dataclasses import dataclass

from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.request import Request
from glue_pkgmgr.core.runtime import GlueRuntime


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A named request for one Glue version; its lock lies in git.

    `may_break` are projects of the Glue image that its jobs do without: the closure may replace what they need.
    """

    name: str
    modules: Request
    runtime: GlueRuntime
    may_break: frozenset[ProjectName] = frozenset()

    @property
    def lock_filename(self) -> str:
        """The name of its lock.

        The content is a lock of PEP 751; pip and uv read it under a name of that PEP, `pylock.NAME.toml` without
        another dot, which could not tell 5.1 from 5-1. `mirror export` gives it one.
        """
        return f"{self.name}.glue-{self.runtime.version}.pylock.toml"
