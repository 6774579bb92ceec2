from __future__ import annotations

from datetime import timedelta

from glue_pkgmgr.verbs.mint import mint
from tests.fakes import ENDPOINT, FakeCodeArtifact
from tests.unit.verbs.locks import APPROVED


def test_an_index_url_is_an_endpoint_with_a_token() -> None:
    remote = FakeCodeArtifact()
    url = mint(APPROVED, timedelta(seconds=900), tokens=remote, repositories=remote)
    assert sorted(remote.events) == ["endpoint approved", "token 900"]
    assert url.plain == f"{ENDPOINT}simple/"
    assert "fake-token" not in str(url) + repr(url)
