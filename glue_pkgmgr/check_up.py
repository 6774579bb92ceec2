"""The wiring of `doctor`: like `project` it names adapters, but works where the settings do not."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from glue_pkgmgr.core.record import Recorded
from glue_pkgmgr.errors import GluePkgmgrError, IndexAccessError
from glue_pkgmgr.index_source import configured_index
from glue_pkgmgr.ports import silent, utc_now
from glue_pkgmgr.process import run
from glue_pkgmgr.project import Project
from glue_pkgmgr.settings import Settings
from glue_pkgmgr.verbs.doctor import (
    Checks,
    Finding,
    Health,
    Verdict,
    diagnose,
    machine_checks,
    recorded_check,
    remote_checks,
    settings_checks,
    unknown,
)
from glue_pkgmgr.wiring import Wiring

_ANSWER_SECONDS = 10.0
_SPARK = "3.5.6"  # any that runs on Java 17
_REFUSED = range(400, 600)


def check_up(config: Path | None, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return what is set up and what is missing: this machine, the settings file `config`, and AWS.

    Nothing is raised: what cannot be found out is a finding.
    """
    # Before the checks do it in several threads: both change the warning filters while they are imported,
    # and a warning slips through when they meet.
    for module in ("requests", "botocore.httpsession"):
        importlib.import_module(module)

    machine = _machine(environ)
    try:
        settings = Project.load(config).settings
    except GluePkgmgrError as e:
        return (*diagnose(machine), Finding(check="settings", verdict=Verdict(Health.WRONG, str(e))))
    # AWS is asked once who we are: without an answer, each further question would only fail in the same way.
    records = recorded_check(partial(_recorded, settings, environ))
    local = isinstance(settings.records, Path)
    found = diagnose(
        {
            **machine,
            **settings_checks(settings, datetime.now(UTC)),
            **(records if local else {}),
            "AWS": lambda: _caller(settings, environ),
        }
    )
    remote = {**_remote(settings, environ), **({} if local else records)}
    if found[-1].verdict.health is Health.OK:
        return (*found, *diagnose(remote))
    return (*found, *unknown(remote, "not looked at: see AWS above"))


def _machine(environ: Mapping[str, str]) -> Checks:
    from glue_pkgmgr.local.jobs.interpreters import python_for
    from glue_pkgmgr.local.jobs.spark import machine_java

    return machine_checks(
        uv=_uv,
        index=lambda: _index(environ),
        java=lambda: machine_java(_SPARK, environ),
        python_for=lambda version: python_for(version, environ),
        stand_in_lacks=_stand_in_lacks,
    )


def _uv() -> str:
    from uv import find_uv_bin

    return run([find_uv_bin(), "--version"], timeout=_ANSWER_SECONDS).stdout.strip()


def _index(environ: Mapping[str, str]) -> str:
    import requests

    from glue_pkgmgr.adapters.http_session import ONCE, Transport, mounted

    source = configured_index(environ)
    session = mounted(requests.Session(), Transport(environ, source, ONCE))
    try:
        with session.get(f"{source.url}pip/", timeout=_ANSWER_SECONDS, stream=True) as response:
            status = response.status_code
    except requests.RequestException as e:
        # The exception's own text may hold the URL with its password.
        raise IndexAccessError(
            f"{source.redacted} does not answer ({type(e).__name__}); check the network, proxy and CA bundle"
        ) from e
    if status in _REFUSED:
        raise IndexAccessError(f"{source.redacted} answers with status {status}; check pip's index-url")
    return source.redacted


def _stand_in_lacks() -> list[str]:
    from glue_pkgmgr.local.objects import rclone

    modules = [name for name in ("flask", "moto", "werkzeug") if importlib.util.find_spec(name) is None]
    return modules if rclone() else [*modules, "rclone"]


def _caller(settings: Settings, environ: Mapping[str, str]) -> Verdict:
    from glue_pkgmgr.adapters.clients import Clients, aws_errors

    clients = Clients(environ, settings.codeartifact.region)
    with aws_errors("AWS does not say who we are", needs="sts:GetCallerIdentity"):
        reply = clients.client("sts").get_caller_identity()
    where = clients.endpoint_url("sts") or settings.codeartifact.region
    return Verdict(Health.OK, f"account {reply['Account']} at {where}")


def _recorded(settings: Settings, environ: Mapping[str, str]) -> Recorded:
    return Wiring(settings, environ, utc_now, silent).records.read()


def _remote(settings: Settings, environ: Mapping[str, str]) -> Checks:
    from glue_pkgmgr.adapters.clients import Clients
    from glue_pkgmgr.adapters.codeartifact import CodeArtifact
    from glue_pkgmgr.adapters.glue import GlueJobs

    clients = Clients(environ, settings.codeartifact.region)
    return remote_checks(
        settings,
        links=lambda address: CodeArtifact(clients.client("codeartifact")).links(address),
        definition=lambda job: GlueJobs(clients.client("glue")).definition(job),
    )
