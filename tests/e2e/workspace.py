"""A copy of the sample project with jobs of its own, driven by nothing but the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import tomlkit

from glue_pkgmgr.cache import cache_folder
from glue_pkgmgr.index_source import configured_index
from glue_pkgmgr.local.clients import Clients
from glue_pkgmgr.local.state import StandIn, StateFolder
from tests.e2e.command import ROOT, Command

MARK = "E2E_WORKSPACE"
"""The environment variable by which a process started in a workspace, and all it starts, is known again."""

HOOKS = Path(__file__).parent / "hooks"
"""A folder whose `sitecustomize` has the stand-in tell every token it issues."""

# Jobs without Spark: what they show is over in a second or two.
SCRIPTS = {
    "probe": """
        from importlib.metadata import version
        for project in ("boto3", "glueutils", "more-itertools"):
            print(f"version.{project}={version(project)}", flush=True)
        """,
    "raising": """
        def divide(trips, weeks):
            return trips / weeks
        print("about to divide", flush=True)
        divide(1, 0)
        """,
    "exiting": "raise SystemExit(1)",
    "killed": """
        import os, signal
        print("goodbye", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    "sleeping": """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("sleeping", flush=True)
        child.wait()
        """,
}


@dataclass(frozen=True)
class Workspace:
    """The sample project in `folder`, with its `home`, and the environment its commands run in.

    `root` holds both, and the temporary files. `printed` collects the stdout and stderr of every command run
    through it, the stdout of `mint` excepted.
    """

    root: Path
    folder: Path
    home: Path
    environment: Mapping[str, str]
    printed: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, root: Path, *, glue_versions: Mapping[str, str], **variables: str) -> Workspace:
        """Copy the sample into `root`, with an empty allow-list and no lock.

        `glue_versions` gives further bundles, a name for each Glue version, and each a job of the same name
        that runs the taxi script.
        """
        folder, home = root / "project", root / "home"
        for made in (folder, home, root / "tmp"):
            made.mkdir(parents=True)
        for name in ("glueutils", "glue_jobs"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("dist", "__pycache__"))
        (folder / "allowlist.toml").write_text("# Reviewed in git.\n")
        (folder / "glue-pkgmgr.toml").write_text(_settings(glue_versions))
        for name, script in SCRIPTS.items():
            (folder / "glue_jobs" / f"{name}.py").write_text(_dedented(script))
        _pip_configuration(home)
        kept = {
            "GLUE_PKGMGR_CACHE": str(cache_folder(os.environ)),
            # Public packages only; in this home they would be fetched again, a gigabyte of them.
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv")),
            "PYENV_ROOT": os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")),
            "TMPDIR": str(root / "tmp"),
            "PYTHONPATH": os.pathsep.join(map(str, (HOOKS, ROOT))),
            "E2E_TOKENS": str(_notes(root)),
            MARK: uuid.uuid4().hex,
        }
        return cls(root, folder, home, Command.in_folder(folder, home, **{**kept, **variables}).environment)

    @property
    def command(self) -> Command:
        """Our command in this workspace."""
        return Command(self.folder, self.environment)

    @property
    def state(self) -> Path:
        """The state folder of the stand-in."""
        return self.folder / ".glue-pkgmgr" / "local"

    def within(self, *words: str) -> list[str]:
        """Return the command line that runs `words` with the endpoints of the stand-in."""
        return self.command.words("local", "exec", "--", *words)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run our command without a way to the stand-in."""
        return self._kept(self.command.run(*arguments), arguments)

    def ours(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run our command against the stand-in."""
        return self._kept(self.command.run("local", "exec", "--", *self.command.words(*arguments)), arguments)

    def client(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run somebody else's command against the stand-in; `variables` are for its environment."""
        command = Command(self.folder, {**self.environment, **variables})
        return command.run("local", "exec", "--", *words)

    def told(self, *arguments: str, status: int = 0) -> Any:
        """Return the JSON object that our command prints against the stand-in; it has to end with `status`."""
        finished = self.ours("--json", *arguments)
        assert finished.returncode == status, finished.stdout + finished.stderr
        return json.loads(finished.stdout)

    @property
    def stand_in(self) -> StandIn:
        """The running stand-in."""
        found = StateFolder(self.state).read()
        assert found is not None
        return found

    @property
    def issued(self) -> list[str]:
        """Every token that the stand-in has ever issued."""
        return _notes(self.root).read_text().split()

    def api(self, service: str) -> Any:
        """Return a boto3 client of the running stand-in."""
        return Clients(self.stand_in)(service)

    def _kept(
        self, finished: subprocess.CompletedProcess[str], arguments: tuple[str, ...]
    ) -> subprocess.CompletedProcess[str]:
        self.printed.extend([finished.stderr] if "mint" in arguments else [finished.stdout, finished.stderr])
        return finished


def _notes(root: Path) -> Path:
    # Beside the workspace, in which tokens are searched for.
    return root.with_name(f"{root.name}-tokens")


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes that run with `mark` in their environment: those of one workspace."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue  # gone meanwhile, or somebody else's
    return found


def ended(mark: str, seconds: float = 15.0) -> list[list[str]]:
    """Wait for the processes of a workspace to end; return the command lines of those that do not."""
    _, alive = psutil.wait_procs(marked(mark), timeout=seconds)
    return [process.cmdline() for process in alive if process in marked(mark)]


def until(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Wait for `condition`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


def until_runs_are_removed(workspace: Workspace) -> None:
    """Wait for the folders of ended job runs to go, which they do after the runs are told to have ended."""
    folder = workspace.state / "runs"
    until(lambda: not any(folder.iterdir()), "the folders of ended runs are removed")


def _settings(glue_versions: Mapping[str, str]) -> str:
    settings = tomlkit.parse((ROOT / "glue-pkgmgr.toml").read_text(encoding="utf-8"))
    bundles, jobs = settings["bundles"], settings["jobs"]
    taxi = dict(jobs["taxi"])
    for name, version in glue_versions.items():
        bundles[name] = {"modules": ["glueutils==0.2.0"], "glue-version": version}
        arguments = {**taxi["arguments"], "S3_BUCKET": f"trips-{name}", "GLUE_DATABASE": f"trips_{name}"}
        jobs[name] = {**taxi, "name": f"taxi-{name}", "bundle": name, "arguments": arguments}
    for name in SCRIPTS:
        jobs[name] = {**taxi, "name": f"{name}-job", "script": f"glue_jobs/{name}.py"}
    return tomlkit.dumps(settings)


def _dedented(script: str) -> str:
    import textwrap

    return textwrap.dedent(script).strip() + "\n"


def _pip_configuration(home: Path) -> None:
    """Tell pip in `home` about the index that pip here is configured to use, and about no other."""
    source = configured_index(os.environ)
    lines = ["[global]", f"index-url = {source.url.replace('%', '%%')}"]
    if source.proxy:
        lines.append(f"proxy = {source.proxy}")
    file = home / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True)
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")
