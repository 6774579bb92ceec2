"""What a user can do, a module for each: steps that ask ports, and are told by a verb."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glue_pkgmgr.verbs import allowed_index as allowed_index
    from glue_pkgmgr.verbs import allowlist_file as allowlist_file
    from glue_pkgmgr.verbs import approve as approve
    from glue_pkgmgr.verbs import build as build
    from glue_pkgmgr.verbs import built as built
    from glue_pkgmgr.verbs import carry as carry
    from glue_pkgmgr.verbs import check as check
    from glue_pkgmgr.verbs import deliver as deliver
    from glue_pkgmgr.verbs import described as described
    from glue_pkgmgr.verbs import follow as follow
    from glue_pkgmgr.verbs import init as init
    from glue_pkgmgr.verbs import launch as launch
    from glue_pkgmgr.verbs import lock as lock
    from glue_pkgmgr.verbs import lock_file as lock_file
    from glue_pkgmgr.verbs import mint as mint
    from glue_pkgmgr.verbs import mirror as mirror
    from glue_pkgmgr.verbs import mirrored as mirrored
    from glue_pkgmgr.verbs import preflight as preflight
    from glue_pkgmgr.verbs import publish as publish
    from glue_pkgmgr.verbs import resolve as resolve
    from glue_pkgmgr.verbs import retry as retry
    from glue_pkgmgr.verbs import runs as runs
    from glue_pkgmgr.verbs import stack as stack
    from glue_pkgmgr.verbs import stack_plan as stack_plan
    from glue_pkgmgr.verbs import start as start
    from glue_pkgmgr.verbs import withdraw as withdraw
    from glue_pkgmgr.verbs import workflow as workflow


def __getattr__(name: str) -> object:
    # Imported on use (PEP 562): to load every verb takes longer than most of them need for their work.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as e:
        raise AttributeError(f"there is no verb {name!r}") from e
