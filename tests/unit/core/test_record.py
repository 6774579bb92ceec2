from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from packaging.version import Version

from glue_pkgmgr.core.job import Delivery
from glue_pkgmgr.core.lockfile import lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.record import recorded_launch
from tests.unit.verbs.locks import lock, pin

TIME = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=UTC)
LOCK = lock(pin("acme==1.0", "a"), pin("boto3==1.40.61", ""), request=("acme", "boto3"))
RECORD = recorded_launch(
    "0123456789abcdef" * 2,
    "taxi-job",
    LOCK,
    by="ann",
    time=TIME,
    delivery=Delivery.WHEELS,
    allowlist_sha256="c" * 64,
    arguments={"YEAR": "2024", "DB_PASSWORD": "hunter2"},
)


def test_a_record_tells_what_was_to_be_installed_and_from_which_lock() -> None:
    assert (RECORD.job, RECORD.run, RECORD.end, RECORD.glue_version) == ("taxi-job", None, None, "5.1")
    assert RECORD.request == ("acme", "boto3")
    assert [(str(one), one.sha256) for one in RECORD.releases] == [
        ("acme==1.0", ("a" * 64,)),
        ("boto3==1.40.61", ()),
    ]
    assert RECORD.lock_sha256 == hashlib.sha256(lock_to_toml(LOCK).encode()).hexdigest()


def test_a_record_keeps_arguments_without_their_secrets() -> None:
    assert RECORD.arguments == {"DB_PASSWORD": "****", "YEAR": "2024"}


def test_a_release_of_the_image_is_not_installed_from_the_repository() -> None:
    assert RECORD.installs(project_name("acme"), Version("1.0"))
    assert not RECORD.installs(project_name("acme"), Version("1.1"))
    assert not RECORD.installs(project_name("boto3"), Version("1.40.61"))
