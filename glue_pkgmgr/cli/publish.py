"""`glue-pkgmgr publish`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glue_pkgmgr.cli.build import file_data
from glue_pkgmgr.cli.help_text import examples
from glue_pkgmgr.cli.output import Table
from glue_pkgmgr.cli.session import Session

if TYPE_CHECKING:
    from glue_pkgmgr.core.publish_plan import PublishPlan
    from glue_pkgmgr.core.publish_record import PublishRecord

_REFUSED = 4


@click.command(
    "publish",
    short_help="Build, upload and verify internal projects.",
    epilog=examples(
        "glue-pkgmgr publish",
        "glue-pkgmgr publish --dry-run",
        "glue-pkgmgr publish glueutils",
        "glue-pkgmgr publish --dist dist",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path(path_type=Path))
@click.option(
    "--dist",
    multiple=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Publish the wheels and sdists in FOLDER, built elsewhere, and build nothing; repeatable.",
)
@click.option("--allow-dev", is_flag=True, help="Publish development and local versions too.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done; nothing is changed.")
@click.pass_obj
def command(
    session: Session, *, paths: tuple[Path, ...], dist: tuple[Path, ...], allow_dev: bool, dry_run: bool
) -> int | None:
    """Build the project in each PATH, by default every one in the settings, and publish it.

    All of it is planned first, and nothing is uploaded while anything speaks against it. It is done when the index
    serves every file with its hash and the release was installed from there. Publishing the same bytes again
    changes nothing; other bytes under a published file's name are refused.
    """
    if paths and dist:
        raise click.UsageError("--dist takes the place of PATH: it publishes files that are built already")
    project = session.project()
    if dry_run:
        return _show(session, project.publish_plan(paths, dist=dist, allow_dev=allow_dev))
    records = project.publish(paths, dist=dist, allow_dev=allow_dev)
    rows = [
        (file.filename, "uploaded" if file in record.uploaded else "already there", file.sha256)
        for record in records
        for file in record.files
    ]
    session.output.result(
        {"dry_run": False, "published": [_data(record) for record in records]},
        Table(("file", "what", "sha256"), rows),
        *(f"{record}: {record.proof}" for record in records if record.uploaded and record.proof),
    )
    return None


def _show(session: Session, plans: list[PublishPlan]) -> int | None:
    rows = [
        (one.file.filename, str(one.found), str(one.file.size), one.file.sha256)
        for plan in plans
        for one in plan.files
    ]
    notes = [
        *(f"{plan.project} would be closed to upstreams" for plan in plans if plan.closes),
        *(f"warning: {warning}" for plan in plans for warning in plan.warnings),
    ]
    refusals = [refusal for plan in plans for refusal in plan.refusals]
    session.output.result(
        {"dry_run": True, "plans": [_plan_data(plan) for plan in plans]},
        Table(("file", "what", "bytes", "sha256"), rows),
        *notes,
    )
    if refusals:
        session.output.conclude("\n".join(refusals))
        return _REFUSED
    return None


def _plan_data(plan: PublishPlan) -> dict[str, object]:
    return {
        "project": plan.project,
        "version": str(plan.version),
        "repository": str(plan.repository),
        "files": [
            {**file_data(one.file), "what": str(one.found), "published_sha256": one.held} for one in plan.files
        ],
        "closes_to_upstreams": plan.closes,
        "refusals": list(plan.refusals),
        "warnings": list(plan.warnings),
    }


def _data(record: PublishRecord) -> dict[str, object]:
    from glue_pkgmgr.core.publish_record import commit_data, proof_data

    return {
        "project": record.project,
        "version": str(record.version),
        "repository": str(record.repository),
        "index": record.index,
        "uploaded": [file_data(file) for file in record.uploaded],
        "already": [file_data(file) for file in record.already],
        "commit": commit_data(record.commit),
        "actor": record.actor,
        "proof": proof_data(record.proof),
        "time": record.time.isoformat(),
    }
