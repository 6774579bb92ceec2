"""What `local up` makes of the settings in CodeArtifact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.codeartifact import CodeArtifact
from glue_pkgmgr.core.repository import OriginControls, RepositoryLinks
from glue_pkgmgr.local.lifecycle import down, up
from tests.stand_in import sample_settings


def test_internal_names_are_closed_and_the_upstream_follows_the_settings(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path)
    ours = settings.codeartifact
    opened = replace(settings, codeartifact=replace(ours, open_upstream=True))
    try:
        links = []
        for one in (settings, opened, settings):
            stand_in = up(one, state=tmp_path / "state", progress=lambda text: None)
            environ = {**stand_in.environment({}), "no_proxy": "*"}
            codeartifact = CodeArtifact(Clients(environ, ours.region).client("codeartifact"))
            links.append(codeartifact.links(ours.approved_repository))
        nowhere = RepositoryLinks(upstreams=(), external_connections=())
        assert links == [nowhere, replace(nowhere, upstreams=("pypi-store",)), nowhere]
        assert codeartifact.packages(ours.store_repository) == dict.fromkeys(
            sorted(settings.policy.internal), OriginControls(publish=False, upstream=False)
        )
        assert codeartifact.packages(ours.approved_repository) == dict.fromkeys(
            sorted(settings.policy.internal), OriginControls(publish=True, upstream=False)
        )
    finally:
        down(tmp_path / "state")
