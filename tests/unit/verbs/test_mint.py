from __future__ import annotations

from datetime import timedelta

from glue_pkgmgr.verbs.mint import mint
from tests.fakes import ENDPOINT, FakeCodeArtifact
from tests.unit.verbs.locks import APPROVED


def test_the_token_is_minted_last() -> None:
    remote = FakeCodeArtifact()
    url = mint(APPROVED, timedelta(seconds=900), tokens=remote, repositories=remote)
    assert remote.events == ["endpoint approved", "token 900"]
    assert url.plain == f"{ENDPOINT}simple/"
    assert "fake-token" not in str(url) + repr(url)
