"""CodeArtifact's operations on packages: what a repository holds, and the origin controls of each package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.repository import OriginControls
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.codeartifact.domains import Params, Places, Result
from glue_pkgmgr.local.codeartifact.paging import page_of
from glue_pkgmgr.local.codeartifact.protocol import invalid, not_found, not_implemented
from glue_pkgmgr.local.packages.releases import Release, Repository


class Packages:
    """Finds the packages and releases that the parameters of a request name."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.store = places.store

    def project(self, params: Params) -> ProjectName:
        """Return the project of `format` and `package`.

        Raises: AwsError for another format, or a name not in its normal form, which is the only one the API takes.
        """
        check_format(params)
        text: str = params["package"]
        try:
            name = project_name(text)
        except SettingsError as e:
            raise invalid(f"package: {e}") from e
        if name != text:
            raise not_found(
                "package", text, f"there is no package {text!r}; its normalised name would be {name!r}"
            )
        return name

    def package(self, params: Params) -> tuple[Repository, ProjectName, OriginControls]:
        """Return a package that the repository holds. Raises: AwsError (ResourceNotFoundException)."""
        repository, project = self._places.repository(params), self.project(params)
        controls = self.store.controls(repository, project)
        if controls is None:
            raise not_found("package", project, f"repository {repository.name!r} has no package {project!r}")
        return repository, project, controls

    def release(self, params: Params) -> Release:
        """Return a release that the repository itself holds. Raises: AwsError (ResourceNotFoundException)."""
        repository, project, _ = self.package(params)
        version = params["packageVersion"]
        release = self.store.releases(repository, project).get(version)
        if release is None:
            raise not_found(
                "package-version", version, f"repository {repository.name!r} holds no {project} {version}"
            )
        return release


def check_format(params: Params) -> None:
    """Refuse other formats than `pypi`, and namespaces, which Python packages do not have."""
    if params.get("format", "pypi") != "pypi":
        raise not_implemented(f"the package format {params['format']!r}, only 'pypi'")
    if "namespace" in params:
        raise invalid("namespace: packages of format pypi have none")


class PackageOperations:
    """Packages and their origin controls."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._packages = Packages(places)
        self._store = places.store

    def describe_package(self, params: Params) -> Result:
        """DescribePackage."""
        _, project, controls = self._packages.package(params)
        return {"package": {"format": "pypi", "name": project, "originConfiguration": _told(controls)}}

    def list_packages(self, params: Params) -> Result:
        """ListPackages."""
        check_format(params)
        prefix = params.get("packagePrefix", "")
        packages = [
            (project, controls)
            for project, controls in self._store.packages(self._places.repository(params)).items()
            if project.startswith(prefix) and _has(controls, params)
        ]
        page, following = page_of(packages, params)
        return {"packages": [_summary(project, controls) for project, controls in page], "nextToken": following}

    def delete_package(self, params: Params) -> Result:
        """DeletePackage, with all its versions."""
        with self._store.transaction():
            repository, project, controls = self._packages.package(params)
            self._store.delete_package(repository, project)
        return {"deletedPackage": _summary(project, controls)}

    def put_package_origin_configuration(self, params: Params) -> Result:
        """PutPackageOriginConfiguration. The package need not exist: it is made, without versions."""
        repository, project = self._places.repository(params), self._packages.project(params)
        wanted = params["restrictions"]
        controls = OriginControls(publish=wanted["publish"] == "ALLOW", upstream=wanted["upstream"] == "ALLOW")
        self._store.set_controls(repository, project, controls)
        return {"originConfiguration": _told(controls)}


def _restrictions(controls: OriginControls) -> dict[str, str]:
    ways = {"publish": controls.publish, "upstream": controls.upstream}
    return {way: "ALLOW" if open_ else "BLOCK" for way, open_ in ways.items()}


def _told(controls: OriginControls) -> Result:
    return {"restrictions": _restrictions(controls)}


def _has(controls: OriginControls, wanted: Mapping[str, Any]) -> bool:
    return all(wanted.get(way, value) == value for way, value in _restrictions(controls).items())


def _summary(project: ProjectName, controls: OriginControls) -> Result:
    return {"format": "pypi", "package": project, "originConfiguration": _told(controls)}
