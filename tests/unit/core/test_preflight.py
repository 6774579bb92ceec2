from __future__ import annotations

import pytest

from glue_pkgmgr.core.preflight import errors_of, failed, fine, raise_errors, warning, warnings_of, wrong
from glue_pkgmgr.errors import (
    GluePkgmgrError,
    IndexAccessError,
    NotApproved,
    NotInstallable,
    RemoteError,
    SettingsError,
)
from glue_pkgmgr.ports import IndexRefused

ALL = [
    fine("a", "good"),
    warning("b", "odd", "look"),
    wrong("remote", "no answer", error=RemoteError),
    wrong("index", "401", "sign in", IndexAccessError),
    wrong("job", "other version", "fix it"),
    wrong("repository", "x:\n  missing", error=NotInstallable),
]


def test_nothing_wrong_raises_nothing() -> None:
    raise_errors("taxi", ALL[:2])
    assert warnings_of(ALL) == (ALL[1],)


def test_one_error_is_its_own_sentence() -> None:
    with pytest.raises(IndexAccessError) as raised:
        raise_errors("taxi", ALL[:2] + ALL[3:4])
    assert str(raised.value) == "401; sign in"


def test_several_errors_are_told_in_one_text_the_gravest_first_with_its_exit_status() -> None:
    with pytest.raises(NotInstallable) as raised:
        raise_errors("taxi", ALL)
    assert str(raised.value).splitlines() == [
        "4 things keep taxi from being launched:",
        "  repository: x:",
        "      missing",
        "  job: other version; fix it",
        "  index: 401; sign in",
        "  remote: no answer",
    ]


def test_what_nobody_approved_is_gravest() -> None:
    found = errors_of([*ALL, wrong("lock", "not approved", error=NotApproved)])
    assert [one.error.exit_code for one in found] == [3, 4, 2, 5, 6]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (IndexRefused("x", 500), IndexAccessError),
        (GluePkgmgrError("x"), SettingsError),
        (RemoteError("x"), RemoteError),
    ],
)
def test_a_check_that_failed_is_an_error_of_its_kind(error: GluePkgmgrError, kind: type[GluePkgmgrError]) -> None:
    with pytest.raises(kind, match="x"):
        raise_errors("taxi", [failed("check", error)])


def test_a_reason_that_several_checks_have_is_told_once() -> None:
    why = "Unable to locate credentials; sign in: `aws sso login`"
    found = [wrong("job definition", f"could not read the job: {why}"), wrong("token", f"could not mint: {why}")]
    with pytest.raises(SettingsError) as told:
        raise_errors("taxi", found)
    assert str(told.value).splitlines()[1:] == [
        f"  job definition: could not read the job: {why}",
        "  token: could not mint: the same",
    ]
