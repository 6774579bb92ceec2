"""Software bills of materials, CycloneDX 1.6 as JSON: of a lock, and of a release of our own.

Source: CycloneDX specification 1.6; package URL specification, type `pypi`: a release that lies elsewhere than in
the public index says where (`repository_url`).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL
from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from glue_pkgmgr.core.licence import licence_of
from glue_pkgmgr.core.lockfile import Lock, Pin, lock_to_toml
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.publish_record import PublishRecord
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.errors import SettingsError

_OURS = "glue-pkgmgr"


def lock_sbom(bundle: str, lock: Lock, *, approved: RepositoryAddress) -> str:
    """Return what a job with the `lock` of `bundle` runs on: every release, its wheels by hash, who wants which.

    What the Glue image brings is in it too, without hashes, and marked. A project that the request names is told
    as wanted by the request alone: a lock knows no more. `approved` is where our own releases lie. Same lock, same
    bytes: there is no time in it, and its serial number comes from the lock.
    """
    components = {pin.project: _pin(pin, approved) for pin in lock.pins}
    root = Component(
        type=ComponentType.APPLICATION,
        name=bundle,
        bom_ref=f"{_OURS}:bundle/{bundle}",
        properties=_properties({"glue-version": lock.runtime.version, "request": ",".join(lock.request)}),
    )
    wants = {root: [components[pin.project] for pin in lock.pins if not pin.wanted_by]}
    for pin in lock.pins:
        for parent in pin.wanted_by:
            if parent in components:
                wants.setdefault(components[parent], []).append(components[pin.project])
    return _document(root, components.values(), wants, seed=f"{bundle}\n{lock_to_toml(lock)}")


def release_sbom(record: PublishRecord, metadata: bytes, *, internal: Collection[ProjectName]) -> str:
    """Return what a published release is: its files by hash, its licence, and what it declares to require.

    `metadata` is the METADATA of its wheel, or PKG-INFO of its sdist. What it requires has no version: which one a
    job gets, its lock decides. Same release, same bytes.
    """
    root = _release(record.project, record.version, record.repository)
    root.components = [_file(name, digest, str(root.bom_ref.value)) for name, digest in record.digests.items()]
    if len(record.digests) == 1:
        root.hashes = [_sha256(digest) for digest in record.digests.values()]
    root.licenses = _licences(licence_of(metadata))
    required = [
        _required(project, lines, record.repository if project in internal else None)
        for project, lines in sorted(_requirements(metadata).items())
    ]
    seed = json.dumps([str(record), sorted(record.digests.items())])
    return _document(root, required, {root: required}, seed=seed)


def _document(
    root: Component, components: Iterable[Component], wants: Mapping[Component, list[Component]], *, seed: str
) -> str:
    known = list(components)
    tool = Component(type=ComponentType.APPLICATION, name=_OURS, bom_ref=f"{_OURS}:tool")
    bom = Bom(
        components=known,
        metadata=BomMetaData(component=root),
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(seed.encode()).hexdigest()),
        dependencies=[
            Dependency(ref=one.bom_ref, dependencies=[Dependency(ref=it.bom_ref) for it in wants.get(one, ())])
            for one in (root, *known)
        ],
    )
    bom.metadata.tools.components.add(tool)
    content: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del content["metadata"]["timestamp"]  # optional, and the library always writes one
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _pin(pin: Pin, approved: RepositoryAddress) -> Component:
    made = _release(pin.project, pin.version, approved if pin.internal else None)
    made.components = [_file(file.filename, file.sha256, str(made.bom_ref.value)) for file in pin.files]
    if len(pin.files) == 1:
        made.hashes = [_sha256(pin.files[0].sha256)]
    made.licenses = _licences(pin.licence)
    origin = "glue-image" if pin.preinstalled else "internal" if pin.internal else "store"
    told = {"from": origin}
    if pin.built_from is not None:
        told |= {"built-from": pin.built_from.filename, "built-from-sha256": pin.built_from.sha256}
    made.properties = _properties(told)
    return made


def _required(project: ProjectName, lines: list[Requirement], repository: RepositoryAddress | None) -> Component:
    optional = all(one.marker is not None and "extra" in str(one.marker) for one in lines)
    made = _release(project, None, repository)
    made.scope = ComponentScope.OPTIONAL if optional else ComponentScope.REQUIRED
    made.properties = [Property(name=f"{_OURS}:requires", value=str(one)) for one in lines]
    return made


def _release(project: ProjectName, version: Version | None, repository: RepositoryAddress | None) -> Component:
    """Return the component of a release; `repository` is where it lies if that is not the public index."""
    return Component(
        type=ComponentType.LIBRARY,
        name=project,
        version=None if version is None else str(version),
        bom_ref=project if version is None else f"{project}=={version}",
        purl=PackageURL(
            type="pypi",
            name=project,
            version=None if version is None else str(version),
            qualifiers={"repository_url": _url(repository)} if repository else None,
        ),
    )


def _url(repository: RepositoryAddress) -> str:
    """Return the address of a repository. Source: CodeArtifact User Guide, "Configure and use pip"."""
    host = f"{repository.domain}-{repository.owner}.d.codeartifact.{repository.region}.amazonaws.com"
    return f"https://{host}/pypi/{repository.repository}/"


def _file(filename: str, sha256: str, release: str) -> Component:
    return Component(
        type=ComponentType.FILE, name=filename, bom_ref=f"{release}/{filename}", hashes=[_sha256(sha256)]
    )


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _licences(licence: str | None) -> list[DisjunctiveLicense | LicenseExpression]:
    if licence is None:
        return []
    return [DisjunctiveLicense(id=licence) if is_supported_id(licence) else LicenseExpression(licence)]


def _properties(told: Mapping[str, str]) -> list[Property]:
    return [Property(name=f"{_OURS}:{name}", value=value) for name, value in told.items()]


def _requirements(metadata: bytes) -> dict[ProjectName, list[Requirement]]:
    raw, _ = parse_email(metadata)
    found: dict[ProjectName, list[Requirement]] = {}
    for line in raw.get("requires_dist", ()):
        try:
            requirement = Requirement(line)
            found.setdefault(project_name(requirement.name), []).append(requirement)
        except (InvalidRequirement, SettingsError):  # nobody can install it either
            continue
    return found
