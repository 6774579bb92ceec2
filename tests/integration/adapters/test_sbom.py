"""Bills of materials, each read by the library's own strict validator of CycloneDX 1.6."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.version import Version

from glue_pkgmgr.adapters.sbom import lock_sbom, release_sbom
from glue_pkgmgr.core.built_file import BuiltFile
from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.lockfile import Lock, LockedFile, lock_from_toml, lock_to_toml
from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.publish_record import PublishRecord
from tests.unit.verbs.locks import APPROVED, lock, pin, wheel_name

ROOT = Path(__file__).parents[3]
OURS = replace(pin("glueutils==0.2.0", internal=True), licence="MIT")
DEP = replace(pin("acme==1.0", "b", wanted_by=("glueutils",)), licence="MIT OR Apache-2.0")
NATIVE = replace(
    pin("native==2.0", "c", wanted_by=("acme", "glueutils")),
    files=(
        LockedFile(filename=wheel_name("native==2.0", "cp311-cp311-manylinux_2_28_x86_64"), sha256="c" * 64),
        LockedFile(filename=wheel_name("native==2.0"), sha256="d" * 64),
    ),
)
BUILT = replace(
    pin("built==3.0", "e", wanted_by=("acme",)),
    built_from=LockedFile(filename="built-3.0.tar.gz", sha256="f" * 64),
)
IMAGE = pin("boto3==1.40.61", "", wanted_by=("acme",))
HELD = lock(OURS, DEP, NATIVE, BUILT, IMAGE, request=("glueutils", "boto3>=1"))


def valid(text: str) -> dict[str, Any]:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    content: dict[str, Any] = json.loads(text)
    return content


def made(held: Lock = HELD, bundle: str = "taxi") -> dict[str, Any]:
    return valid(lock_sbom(bundle, held, approved=APPROVED))


def components(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in content["components"]}


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {one["name"].removeprefix("glue-pkgmgr:"): one["value"] for one in component.get("properties", ())}


# Of a lock


def test_every_release_is_a_component_with_its_package_url() -> None:
    found = {name: (one["version"], one["purl"]) for name, one in components(made()).items()}
    where = "https://acme-111122223333.d.codeartifact.us-east-1.amazonaws.com/pypi/approved/"
    assert found == {
        "acme": ("1.0", "pkg:pypi/acme@1.0"),
        "boto3": ("1.40.61", "pkg:pypi/boto3@1.40.61"),
        "built": ("3.0", "pkg:pypi/built@3.0"),
        "glueutils": ("0.2.0", f"pkg:pypi/glueutils@0.2.0?repository_url={where}"),
        "native": ("2.0", "pkg:pypi/native@2.0"),
    }


def test_every_wheel_a_job_may_get_is_there_with_its_hash() -> None:
    for held in HELD.installed:
        files = components(made())[held.project]["components"]
        hashes = {one["name"]: one["hashes"] for one in files}
        assert hashes == {file.filename: [{"alg": "SHA-256", "content": file.sha256}] for file in held.files}
    assert "hashes" in components(made())["acme"]
    assert "hashes" not in components(made())["native"]  # two wheels: it has no hash of its own


def test_where_each_comes_from_is_told_and_what_the_image_brings_has_no_hash() -> None:
    told = {name: properties(one) for name, one in components(made()).items()}
    assert {name: one["from"] for name, one in told.items()} == {
        "acme": "store",
        "boto3": "glue-image",
        "built": "store",
        "glueutils": "internal",
        "native": "store",
    }
    assert (told["built"]["built-from"], told["built"]["built-from-sha256"]) == ("built-3.0.tar.gz", "f" * 64)
    assert not {"hashes", "components"} & components(made())["boto3"].keys()


def test_licences_are_told_as_ids_or_expressions_and_left_out_where_not_known() -> None:
    found = {name: one.get("licenses") for name, one in components(made()).items()}
    assert found["glueutils"] == [{"license": {"id": "MIT"}}]
    assert found["acme"] == [{"expression": "MIT OR Apache-2.0"}]
    assert found["native"] is None


def test_the_graph_is_that_of_the_lock() -> None:
    graph = {one["ref"]: one.get("dependsOn", []) for one in made()["dependencies"]}
    assert graph == {
        "glue-pkgmgr:bundle/taxi": ["glueutils==0.2.0"],
        "glueutils==0.2.0": ["acme==1.0", "native==2.0"],
        "acme==1.0": ["boto3==1.40.61", "built==3.0", "native==2.0"],
        "native==2.0": [],
        "built==3.0": [],
        "boto3==1.40.61": [],
    }


def test_the_bundle_tells_its_request_and_glue_version() -> None:
    root = made()["metadata"]["component"]
    assert (root["name"], properties(root)) == ("taxi", {"glue-version": "5.1", "request": "glueutils,boto3>=1"})


@pytest.mark.filterwarnings("ignore:The Component this BOM is describing:UserWarning")
def test_a_circle_and_a_parent_that_is_not_locked_are_no_fault() -> None:
    one, two = pin("one==1.0", wanted_by=("two", "gone")), pin("two==1.0", "b", wanted_by=("one",))
    graph = {it["ref"]: it.get("dependsOn", []) for it in made(lock(one, two))["dependencies"]}
    assert (graph["one==1.0"], graph["two==1.0"]) == (["two==1.0"], ["one==1.0"])


def test_a_lock_without_releases_has_a_bill_too() -> None:
    assert "components" not in made(lock(request=("boto3",)))


def test_the_same_lock_gives_the_same_bytes_and_another_one_another_serial_number() -> None:
    read_again = lock_from_toml(lock_to_toml(HELD), "x")
    assert lock_sbom("taxi", read_again, approved=APPROVED) == lock_sbom("taxi", HELD, approved=APPROVED)
    assert "timestamp" not in made()["metadata"]
    serials = {made()["serialNumber"], made(bundle="other")["serialNumber"], made(lock(OURS))["serialNumber"]}
    assert len(serials) == 3


def test_the_bytes_depend_on_no_order_of_sets(tmp_path: Path) -> None:
    (tmp_path / "lock.toml").write_text(lock_to_toml(HELD))
    script = (
        "import sys; from pathlib import Path; from glue_pkgmgr.adapters.sbom import lock_sbom; "
        "from glue_pkgmgr.core.lockfile import lock_from_toml; from tests.unit.verbs.locks import APPROVED; "
        "held = lock_from_toml(Path(sys.argv[1]).read_text(), 'x'); "
        "sys.stdout.write(lock_sbom('taxi', held, approved=APPROVED))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script, tmp_path / "lock.toml"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"))
    }
    assert texts == {lock_sbom("taxi", HELD, approved=APPROVED)}


# Of a release

METADATA = b"""\
Metadata-Version: 2.4
Name: glueutils
Version: 0.2.0
License-Expression: Apache-2.0
Requires-Dist: boto3>=1.40
Requires-Dist: Acme_Own ; python_version < "3.12"
Requires-Dist: acme-own>=2 ; python_version >= "3.12"
Requires-Dist: rich ; extra == "cli"
Requires-Dist: not a requirement !
"""


def record(*filenames: str) -> PublishRecord:
    files = tuple(
        BuiltFile(path=Path(name), distribution=parse_filename(name), sha256=digit * 64, size=1)
        for name, digit in zip(filenames, "ab", strict=False)
    )
    return PublishRecord(
        project=project_name("glueutils"),
        version=Version("0.2.0"),
        repository=APPROVED,
        index="http://127.0.0.1:9/simple/",
        uploaded=files[:1],
        already=files[1:],
        time=datetime(2026, 11, 24, tzinfo=UTC),
    )


WHEEL, SDIST = "glueutils-0.2.0-py3-none-any.whl", "glueutils-0.2.0.tar.gz"


def release(*filenames: str, metadata: bytes = METADATA) -> dict[str, Any]:
    internal = frozenset({project_name("glueutils"), project_name("acme-own")})
    return valid(release_sbom(record(*filenames), metadata, internal=internal))


def test_a_release_tells_its_files_and_licence() -> None:
    root = release(SDIST, WHEEL)["metadata"]["component"]
    assert (root["name"], root["version"], root["licenses"]) == (
        "glueutils",
        "0.2.0",
        [{"license": {"id": "Apache-2.0"}}],
    )
    files = {one["name"]: one["hashes"][0]["content"] for one in root["components"]}
    assert files == {SDIST: "a" * 64, WHEEL: "b" * 64}
    assert "repository_url=" in root["purl"]


def test_a_release_tells_what_it_declares_to_require() -> None:
    content = release(WHEEL)
    found = components(content)
    assert {name: (one["scope"], "repository_url" in one["purl"]) for name, one in found.items()} == {
        "acme-own": ("required", True),
        "boto3": ("required", False),
        "rich": ("optional", False),
    }
    lines = {one["value"] for one in found["acme-own"]["properties"]}
    assert lines == {'Acme_Own; python_version < "3.12"', 'acme-own>=2; python_version >= "3.12"'}
    graph = {one["ref"]: one.get("dependsOn", []) for one in content["dependencies"]}
    assert graph["glueutils==0.2.0"] == ["acme-own", "boto3", "rich"]


@pytest.mark.parametrize("metadata", [b"", b"\xff\xfe", b"Requires-Dist: -e .\n"])
def test_metadata_that_tells_nothing_is_no_fault(metadata: bytes) -> None:
    assert "components" not in release(WHEEL, metadata=metadata)


def test_the_same_release_gives_the_same_bytes_whenever_it_was_published() -> None:
    later = replace(record(WHEEL), time=datetime(2027, 1, 1, tzinfo=UTC), uploaded=(), already=record(WHEEL).files)
    texts = {release_sbom(one, METADATA, internal=frozenset()) for one in (record(WHEEL), later)}
    assert len(texts) == 1
