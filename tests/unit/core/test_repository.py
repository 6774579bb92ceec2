from __future__ import annotations

import pytest

from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import SettingsError

GOOD = {"domain": "acme", "owner": "111122223333", "region": "us-east-1", "repository": "pypi-store"}


def test_an_address_shows_domain_and_repository() -> None:
    assert str(RepositoryAddress(**GOOD)) == "acme/pypi-store"
    assert RepositoryAddress(**{**GOOD, "region": "us-gov-west-1"}).region == "us-gov-west-1"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("domain", "a"),
        ("domain", "Acme"),
        ("domain", "acme-"),
        ("domain", "1acme"),
        ("domain", "a" * 51),
        ("owner", "11112222333"),
        ("owner", "1111-2222-33"),
        ("owner", "\u0661" * 12),
        ("region", "us-east"),
        ("region", "us-east-1/"),
        ("repository", "x"),
        ("repository", "a/b"),
        ("repository", "store\n"),
    ],
)
def test_a_part_that_aws_would_refuse_is_named(part: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"codeartifact {part} "):
        RepositoryAddress(**{**GOOD, part: value})
