"""Stand-ins for the ports, in memory: they keep the promises that `glue_pkgmgr.ports` writes down."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.version import Version

from glue_pkgmgr.core.distribution import parse_filename
from glue_pkgmgr.core.index_url import AuthorizationToken, IndexUrl
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.core.simple_api import IndexFile, IndexPage
from glue_pkgmgr.errors import IndexAccessError, NotInstallable
from glue_pkgmgr.ports import Asset

ENDPOINT = "http://127.0.0.1:9/pypi/"


@dataclass
class FakeTime:
    """A clock that only `sleep` moves."""

    now: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class FakeRepository:
    """One repository as the API, as the index and as the place to upload to; `events` tells what was done.

    `lag` is how many times a page is asked for before anything shows on it; `lie` maps file names to wrong
    digests the index tells; after `fail_after` uploads the connection is broken.
    """

    assets_by_release: dict[tuple[ProjectName, Version], dict[str, Asset]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    lag: int = 0
    lie: dict[str, str] = field(default_factory=dict)
    fail_after: int | None = None

    # Repositories
    def endpoint(self, address: RepositoryAddress) -> str:
        return ENDPOINT

    def assets(self, address: RepositoryAddress, project: ProjectName, version: Version) -> Sequence[Asset]:
        return list(self.assets_by_release.get((project, version), {}).values())

    def copy(
        self, source: RepositoryAddress, target: RepositoryAddress, project: ProjectName, version: Version
    ) -> None:
        self.events.append(f"copy {project}=={version}")

    def delete(self, address: RepositoryAddress, project: ProjectName, version: Version) -> None:
        self.assets_by_release.pop((project, version), None)

    def set_origin(
        self, address: RepositoryAddress, project: ProjectName, *, publish: bool, upstream: bool
    ) -> None:
        self.events.append(f"origin {project} publish={publish} upstream={upstream}")

    # Mint
    def mint(self, lifetime: timedelta) -> IndexUrl:
        self.events.append("mint")
        return IndexUrl(ENDPOINT, AuthorizationToken("fake-token", datetime.max.replace(tzinfo=UTC)))

    # Uploader
    def upload(self, path: Path) -> None:
        if self.fail_after is not None and self.fail_after <= 0:
            raise IndexAccessError("the connection broke")
        if self.fail_after is not None:
            self.fail_after -= 1
        self.put(path.name, path.read_bytes())
        self.events.append(f"upload {path.name}")

    # PackageIndex
    def page(self, project: ProjectName) -> IndexPage | None:
        self.events.append("page")
        self.lag -= 1
        files = [a for (name, _), held in self.assets_by_release.items() if name == project for a in held.values()]
        if self.lag >= 0 or not files:
            return None
        return IndexPage(
            project=project,
            files=tuple(
                IndexFile(
                    filename=asset.filename,
                    url=f"{ENDPOINT}{asset.filename}",
                    hashes={"sha256": self.lie.get(asset.filename, asset.sha256)},
                )
                for asset in files
            ),
        )

    def download(self, url: str, target: Path, sha256: str) -> None:
        raise IndexAccessError(f"{url} is not kept by the fake")

    def put(self, filename: str, content: bytes) -> None:
        """Hold `content` under `filename`, as an upload of somebody else would."""
        file = parse_filename(filename)
        held = self.assets_by_release.setdefault((file.project, file.version), {})
        sha256 = hashlib.sha256(content).hexdigest()
        if filename in held and held[filename].sha256 != sha256:
            raise NotInstallable(f"{filename} is there with other bytes")
        held[filename] = Asset(filename=filename, sha256=sha256, size=len(content))
