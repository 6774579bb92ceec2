"""A workspace whose public index is one of the test: what it lists, since when, and what it lies about."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from uv import find_uv_bin

from glue_pkgmgr.core.names import project_name
from glue_pkgmgr.core.runtime import glue_runtime
from glue_pkgmgr.index_source import configured_index, installer_environment
from glue_pkgmgr.local.state import StandIn, StateFolder
from glue_pkgmgr.process import Finished, run
from tests.e2e.command import LONGEST, Command
from tests.e2e.workspace import MARK, Workspace, ended
from tests.integration.local.upstream_index import UpstreamIndex, running_upstream

GLUE = glue_runtime("5.1")
STORE, APPROVED = "pypi-store", "enterprise-repo"
DOMAIN = "enterprise-repo-domain"
INSTALLERS = ("pip", "pip of the Glue image", "uv")

_SETTINGS = """
[codeartifact]
domain = "{domain}"
owner = "111122223333"
region = "us-east-1"
store = "{store}"
repository = "{repository}"

[policy]
{policy}

[publish]
projects = ["glueutils"]
"""
_BUNDLE = """
[bundles.{name}]
modules = {modules}
glue-version = "{glue}"
"""
_JOB = """
[jobs.{name}]
name = "{name}-job"
script = "glue_jobs/probe.py"
bundle = "{name}"
staging = "s3://staging-area/glue-pkgmgr/"
"""


def settings(
    bundles: Mapping[str, Sequence[str]],
    *,
    policy: str = 'internal = ["glueutils"]',
    repository: str = APPROVED,
    job: str = "",
) -> str:
    """Return the text of a settings file; `job` names a bundle that gets a job, `policy` is what stands there."""
    parts = [_SETTINGS.format(domain=DOMAIN, store=STORE, repository=repository, policy=policy)]
    parts += [
        _BUNDLE.format(name=name, modules=json.dumps(modules), glue=GLUE.version)
        for name, modules in bundles.items()
    ]
    return "".join([*parts, _JOB.format(name=job) if job else ""])


@dataclass
class World:
    """A workspace with a running stand-in; `public` is the public index behind its store.

    `glue_pip` is a folder with the pip of the Glue image.
    """

    workspace: Workspace
    public: UpstreamIndex
    glue_pip: Path

    @property
    def stand_in(self) -> StandIn:
        """The running stand-in."""
        return self.workspace.stand_in

    def run(self, *arguments: str, **variables: str) -> CompletedProcess[str]:
        """Run our command against the stand-in; `variables` are for its environment."""
        environment = self.stand_in.environment({**self.workspace.environment, **variables})
        return Command(self.workspace.folder, environment).run(*arguments)

    def done(self, *arguments: str, **variables: str) -> str:
        """Return what our command prints; it has to succeed."""
        finished = self.run(*arguments, **variables)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def told(self, *arguments: str, status: int = 0) -> Any:
        """Return the JSON object that our command prints; it has to end with `status`."""
        finished = self.run("--json", *arguments)
        assert finished.returncode == status, finished.stdout + finished.stderr
        return json.loads(finished.stdout)

    @cached_property
    def index_url(self) -> str:
        """What `mint` prints: the approved repository with a valid token."""
        return self.done("mint").strip()

    def url_of(self, repository: str) -> str:
        """Return the index URL of a repository: the token is good for every one of the domain."""
        return self.index_url.replace(f"/{APPROVED}/", f"/{repository}/")

    def install(
        self, installer: str, target: Path, *requirements: str | Path, repository: str = APPROVED
    ) -> Finished:
        """Let somebody else's installer put `requirements` from a repository into `target`, with a valid token."""
        environment = installer_environment(self.workspace.environment, None)
        if installer == "uv":
            words = [find_uv_bin(), "pip", "install", "--no-cache", "--python", sys.executable]
        else:
            words = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--retries", "0"]
        if installer == "pip of the Glue image":
            environment["PYTHONPATH"] = str(self.glue_pip)
        url = self.url_of(repository)
        finished = run(
            [*words, "--only-binary", ":all:", "--target", target, "--index-url", url, *requirements],
            env=self.stand_in.environment(environment),
            timeout=LONGEST,
            cwd=self.workspace.root,
        )
        token = url.partition("aws:")[2].partition("@")[0]
        assert token
        assert token not in finished.stdout + finished.stderr
        return finished

    def upload(self, file: Path) -> CompletedProcess[str]:
        """Let twine upload `file` to the approved repository, with a valid token."""
        user, _, place = self.index_url.removesuffix("simple/").rpartition("@")
        return self.workspace.client(
            *(sys.executable, "-m", "twine", "upload", "--non-interactive", "--disable-progress-bar", str(file)),
            TWINE_REPOSITORY_URL=f"http://{place}",
            TWINE_USERNAME="aws",
            TWINE_PASSWORD=user.rpartition(":")[2],
        )

    def api(self) -> Any:
        """Return a boto3 client of the stand-in's CodeArtifact."""
        return self.workspace.api("codeartifact")

    def delete(self, repository: str, project: str, version: str) -> None:
        """Delete a release. From the store: whoever asks for it next brings it in anew."""
        self.api().delete_package_versions(
            domain=DOMAIN, repository=repository, format="pypi", package=project, versions=[version]
        )

    def blob(self, sha256: str) -> Path:
        """Return where the stand-in keeps the bytes with that hash on disk."""
        return StateFolder(self.workspace.state).packages / "blobs" / sha256[:2] / sha256

    def restart(self) -> None:
        """End the stand-in and start it again: pages of the public index are read anew."""
        assert self.workspace.run("local", "down").returncode == 0
        assert self.workspace.run("local", "up").returncode == 0
        self.__dict__.pop("index_url", None)


@contextmanager
def running_world(root: Path, settings_text: str) -> Iterator[World]:
    """Give a world with an empty public index and our own `glueutils` 0.2.0 published; nothing is approved."""
    with running_upstream() as public:
        workspace = Workspace.make(
            root,
            glue_versions={},
            # The index pip is configured to use is the public one, whatever this machine says.
            PIP_CONFIG_FILE=os.devnull,
            PIP_INDEX_URL=public.source.url,
            PIP_PROXY="",
            # What is made for a test is not to be found again by anything else.
            GLUE_PKGMGR_CACHE=str(root / "cache"),
        )
        world = World(workspace, public, _pip_of_glue(root / "pip"))
        (workspace.folder / "glue-pkgmgr.toml").write_text(settings_text)
        _without_dependencies(workspace.folder / "glueutils" / "pyproject.toml")
        started = workspace.run("local", "up")
        assert started.returncode == 0, started.stderr
        try:
            world.done("publish", **machine_index())
            yield world
        finally:
            workspace.run("local", "down")
            assert ended(workspace.environment[MARK]) == []


def installed(target: Path) -> dict[str, str]:
    """Return the version of every project that was installed into `target`."""
    named = (folder.name.removesuffix(".dist-info").partition("-") for folder in target.glob("*.dist-info"))
    return {project: version for project, _, version in named}


def machine_index() -> dict[str, str]:
    """Return the variables that name the index this machine's pip uses: the build backend is a real one."""
    index = configured_index(os.environ)
    return {
        "PIP_INDEX_URL": index.url,
        "PIP_PROXY": index.proxy or "",
        "PIP_CERT": str(index.ca_bundle or ""),
    }


def _pip_of_glue(folder: Path) -> Path:
    """Make `folder` with the pip of the Glue image in it, and return it."""
    finished = run(
        [
            *(find_uv_bin(), "pip", "install", "--quiet", "--compile-bytecode", "--python", sys.executable),
            *("--target", folder),
            f"pip=={GLUE.preinstalled[project_name('pip')]}",
        ],
        env=installer_environment(os.environ, configured_index(os.environ)),
        timeout=LONGEST,
    )
    assert finished.ok, finished.stderr
    return folder


def _without_dependencies(pyproject: Path) -> None:
    # What the image brings is in no approved repository, and a plain `pip install` would look for it there.
    text = pyproject.read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("dependencies = "))
    pyproject.write_text(text.replace(line, "dependencies = []"), encoding="utf-8")
