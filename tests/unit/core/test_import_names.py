from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.import_names import import_names


@pytest.mark.parametrize(
    ("members", "names"),
    [
        (["acme/__init__.py", "acme/deep/__init__.py", "acme-1.0.dist-info/METADATA"], ("acme",)),
        (["six.py", "six-1.0.dist-info/RECORD"], ("six",)),
        (["_fast.cpython-311-x86_64-linux-gnu.so"], ("_fast",)),
        (["company/acme/__init__.py", "company/acme/x.py", "company/tool.py"], ("company.acme", "company.tool")),
        (["acme/__init__.cpython-311-x86_64-linux-gnu.so", "acme/data.json"], ("acme",)),
        (["acme-1.0.data/scripts/run.py", "acme-1.0.data/purelib/acme.py"], ()),
        (["__main__.py", "not-a-module.py", "acme/templates/x-y.py"], ()),
        ([], ()),
    ],
)
def test_the_outermost_modules_are_named(members: list[str], names: tuple[str, ...]) -> None:
    assert import_names(members) == names


def test_not_more_than_fifty_are_named() -> None:
    assert len(import_names(f"company/m{n}.py" for n in range(99))) == 50


@given(st.lists(st.text(max_size=20) | st.from_regex(r"([a-z_.]{1,4}/){0,3}[a-z_]{1,6}\.(py|so)", fullmatch=True)))
def test_whatever_a_wheel_holds_the_names_can_be_imported(members: list[str]) -> None:
    for name in import_names(members):
        assert all(part.isidentifier() for part in name.split("."))
