"""`glue-pkgmgr stack diff`, `stack deploy` and `stack destroy`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session
from glue_pkgmgr.errors import SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.core.stack_change import Note, ResourceChange, StackChange, StackResource
    from glue_pkgmgr.verbs.stack import BucketToEmpty, Deployed, Removal

_VALUE_SHOWN = 60  # characters of a property's value

_stack = click.option("--stack", "name", metavar="NAME", help="Its name; by default that of the settings.")
_region = click.option(
    "--region", metavar="REGION", help="One of the regions of the settings; by default the first."
)
_template = click.option(
    "--template",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A template in JSON; by default the one of the settings.",
)
_staging = click.option(
    "--staging", metavar="URL", help="s3://BUCKET/PREFIX/ for a template of more than 51200 bytes."
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command("diff", short_help="Show what would change.", epilog=examples("glue-pkgmgr stack diff"))
@_stack
@_region
@_template
@_staging
@click.pass_obj
def diff(
    session: Session, *, name: str | None, region: str | None, template: Path | None, staging: str | None
) -> None:
    """Show what `stack deploy` would change, property by property; nothing is changed."""
    change = session.project().stack_diff(_read(template), name=name, region=region, staging=staging)
    session.output.result(_change_data(change), *_change_shown(change))


@click.command(
    "deploy",
    short_help="Create or change it.",
    epilog=examples("glue-pkgmgr stack deploy", "glue-pkgmgr --json stack deploy --yes"),
)
@_stack
@_region
@_template
@_staging
@_yes
@click.pass_obj
def deploy(
    session: Session,
    *,
    name: str | None,
    region: str | None,
    template: Path | None,
    staging: str | None,
    yes: bool,
) -> None:
    """Create or change the stack, and tell what happens to each resource.

    Asks only if something would be removed or replaced. If it fails, everything is as before, and the first cause
    is told. Type it again after an interruption: it waits for what was begun. Exit status 6 if AWS refused, 9 at a
    quota.
    """
    project = session.project()
    done = project.stack_deploy(
        _read(template), name=name, region=region, staging=staging, agree=_agreement(session, yes)
    )
    if done is None:
        session.output.show(f"stack {name or project.settings.stack.name} was not changed")
        return
    session.output.result(_deployed_data(done), *_deployed_shown(done))


@click.command("destroy", short_help="Remove it.", epilog=examples("glue-pkgmgr stack destroy"))
@_stack
@_region
@_yes
@click.pass_obj
def destroy(session: Session, *, name: str | None, region: str | None, yes: bool) -> None:
    """Remove the stack, its buckets with every version of every object; what will be gone is named first.

    What its template says to retain stays, and is told. Exit status 6 if something could not be removed.
    """
    project = session.project()
    name = name or project.settings.stack.name
    agree = _removal_agreement(session, name, yes)
    done = project.stack_destroy(name=name, region=region, agree=agree)
    removal = done.removal
    if not done.agreed:
        session.output.show(f"stack {name} was not removed")
        return
    if not removal.removed and not removal.kept:
        told = f"stack {name} is not there, or was empty"
    else:
        told = f"stack {name} is removed, {_count(len(removal.removed), 'resource')}"
    kept = [Table(("stays", "type", "name"), [_resource_row(one) for one in removal.kept])] if removal.kept else []
    session.output.result(_removal_data(removal), told, *kept)


def _read(template: Path | None) -> str | None:
    if template is None:
        return None
    try:
        return template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"cannot read the template {template}: {e}") from e


# --- what is asked


def _agreement(session: Session, yes: bool) -> Callable[[StackChange], bool]:
    """Return what agrees to a change: at once if nothing is lost by it, else a person."""

    def agree(change: StackChange) -> bool:
        if not session.output.as_json:
            for part in _change_shown(change):
                for line in _lines(part):
                    session.output.progress(line)
        if change.destroyed and not yes:
            names = ", ".join(f"{one.logical_id} ({one.type})" for one in change.destroyed)
            _require_terminal(session, f"stack {change.stack} was not changed: it would lose {names}")
            if not click.confirm(f"remove or replace {names}?", err=True):
                return False
        session.left_behind = "a change that was begun goes on; `stack deploy` again waits for its end"
        return True

    return agree


def _removal_agreement(session: Session, name: str, yes: bool) -> Callable[[Removal], bool]:
    def agree(removal: Removal) -> bool:
        if not session.output.as_json:
            session.output.show(*_removal_shown(removal))
        if not yes:
            _require_terminal(session, f"stack {name} was not removed")
            if not click.confirm(f"remove stack {name} with all this?", err=True):
                return False
        session.left_behind = "what was begun goes on; `stack destroy` again waits for its end"
        return True

    return agree


def _require_terminal(session: Session, what: str) -> None:
    if session.output.as_json:
        raise SettingsError(f"{what}; with --json nobody is asked: look at it without, then pass --yes")
    if not sys.stdin.isatty():
        raise SettingsError(f"{what}; there is no terminal to ask at: pass --yes")


# --- what is shown


def _change_shown(change: StackChange) -> list[str | Table]:
    size = f"template of {change.template_bytes:,} bytes"
    if change.unchanged:
        return [f"stack {change.stack}: no changes, {size}"]
    counts: dict[str, int] = {}
    for one in change.resources:
        counts[one.action.value] = counts.get(one.action.value, 0) + 1
    told = ", ".join(f"{number} to {action}" for action, number in counts.items()) or "tags or outputs change"
    head = f"stack {change.stack}{' is new' if change.creates else ''}: {told}, {size}"
    rows = [row for one in change.resources for row in _change_rows(one)]
    return [*([Table(("change", "resource", "type", "what"), rows)] if rows else []), head]


def _change_rows(change: ResourceChange) -> list[tuple[str, str, str, str]]:
    where = (change.action.value, change.logical_id, change.type)
    if not change.properties:
        return [(*where, change.physical_id or "")]
    return [(*where, f"{one.path}: {_short(one.before)} -> {_short(one.after)}") for one in change.properties]


def _short(value: str | None) -> str:
    text = "none" if value is None else value
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}…"


def _lines(part: str | Table) -> Sequence[str]:
    from glue_pkgmgr.cli.output import plain_lines

    return plain_lines(part.columns, part.rows) if isinstance(part, Table) else [part]


def _deployed_shown(done: Deployed) -> list[str | Table]:
    if done.change.unchanged:
        return [f"stack {done.stack.name}: no changes"]
    parts: list[str | Table] = []
    if done.notes:
        rows = [(one.logical_id, one.type, one.text) for one in done.notes]
        parts.append(Table(("resource", "type", "note"), rows))
    if done.stack.outputs:
        parts.append(Table(("output", "value"), sorted(done.stack.outputs.items())))
    changed = _count(len(done.change.resources), "resource")
    return [*parts, f"stack {done.stack.name} is in {done.stack.status}: {changed} changed"]


def _removal_shown(removal: Removal) -> list[str | Table]:
    if not removal.removed and not removal.kept:
        return [f"stack {removal.stack} has no resources"]
    emptied = {one.name: one for one in removal.buckets}
    rows = [
        ("remove", *_resource_row(one), _contents(emptied.get(str(one.physical_id)))) for one in removal.removed
    ]
    rows += [("keep", *_resource_row(one), "") for one in removal.kept]
    return [Table(("what", "resource", "type", "name", "with"), rows)]


def _resource_row(resource: StackResource) -> tuple[str, str, str]:
    return resource.logical_id, resource.type, resource.physical_id or ""


def _contents(bucket: BucketToEmpty | None) -> str:
    from glue_pkgmgr.verbs.stack import MOST_COUNTED

    if bucket is None:
        return ""
    if bucket.versions >= MOST_COUNTED:
        return f"{bucket.versions} or more versions of objects"
    return _count(bucket.versions, "version") + " of objects" if bucket.versions else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# --- what programs read


def _change_data(change: StackChange) -> dict[str, Any]:
    return {
        "stack": change.stack,
        "creates": change.creates,
        "unchanged": change.unchanged,
        "template_bytes": change.template_bytes,
        "changes": [
            {
                "action": one.action.value,
                "resource": one.logical_id,
                "type": one.type,
                "name": one.physical_id,
                "destroys": one.destroys,
                "properties": [
                    {"path": part.path, "before": part.before, "after": part.after} for part in one.properties
                ],
            }
            for one in change.resources
        ],
    }


def _deployed_data(done: Deployed) -> dict[str, Any]:
    return {
        **_change_data(done.change),
        "status": done.stack.status,
        "outputs": dict(done.stack.outputs),
        "notes": [_note_data(one) for one in done.notes],
    }


def _note_data(note: Note) -> dict[str, str]:
    return {"resource": note.logical_id, "type": note.type, "note": note.text}


def _removal_data(removal: Removal) -> dict[str, Any]:
    return {
        "stack": removal.stack,
        "removed": [_resource_data(one) for one in removal.removed],
        "kept": [_resource_data(one) for one in removal.kept],
        "emptied": [{"bucket": one.name, "versions": one.versions} for one in removal.buckets],
    }


def _resource_data(resource: StackResource) -> dict[str, str | None]:
    return {"resource": resource.logical_id, "type": resource.type, "name": resource.physical_id}
