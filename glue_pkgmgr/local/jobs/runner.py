"""One job run, as Glue would carry it out: a fresh environment, pip with the run's own arguments, the script.

    python -m glue_pkgmgr.local.jobs.runner SPEC_FD

The runner is a process of its own, under a warden. It reads its `RunSpec` from the descriptor SPEC_FD: a
specification holds the run's arguments, an index URL with its token may be among them, and so it is never a
file. What the script prints is the runner's stdout, what the system prints its stderr; how far the run is
stands in a small file of the run's folder (`RunReport`).

Unlike real Glue, a run whose arguments name no index reaches none: the stand-in is the private network
without internet. Such an item fails with pip's own message.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from packaging.version import Version

from glue_pkgmgr.core.index_url import without_credentials
from glue_pkgmgr.errors import GluePkgmgrError
from glue_pkgmgr.index_source import installer_environment
from glue_pkgmgr.local.jobs import job_main
from glue_pkgmgr.local.jobs.arguments import (
    ModuleRequest,
    comma_separated,
    customer_variables,
    spark_settings,
)
from glue_pkgmgr.local.jobs.environment import base_environment, clone
from glue_pkgmgr.local.jobs.old_botocore import is_old, redirect
from glue_pkgmgr.local.jobs.spark import Spark, log_settings, spark, spark_defaults

_BOOTSTRAP = "com.amazonaws.services.glue.GlueBootstrap"
_INSTALLER = "com.amazonaws.services.glue.PythonModuleInstaller"
_GLUE_5 = Version("5.0")  # the Glue version from which much is told differently
_LONGEST_MESSAGE = 8192
_NO_AWSGLUE = "ModuleNotFoundError: No module named 'awsglue'"
_WITHOUT_AWSGLUE = "the stand-in has none, its licence forbids: import it only where it is, else use plain Spark"
_AFTERGLOW_SECONDS = 5.0
_POLL_SECONDS = 0.02
_NO_PROXY = "127.0.0.1,localhost"

# All that a job gets of the variables around it: where programs and certificates are, and the way to AWS. The
# rest of a user's session is left out: it leads to other interpreters and Sparks, and may hold secrets.
_PASSED_ON = frozenset(
    {
        *("PATH", "LANG", "USER", "LOGNAME", "NO_PROXY", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What a runner needs to know.

    `pins` are the pre-installed releases (`name==version`); `spark` is None for an environment without it.
    `folder` is the run's own, and ends with it; `notes` are told in the system log first.
    """

    run_id: str
    job_name: str
    job_id: str
    glue_version: str
    python: str
    pins: tuple[str, ...]
    spark: str | None
    script: str
    arguments: Mapping[str, str]
    folder: str
    cache: str
    s3_root: str
    cores: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the specification as `from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """Return the specification that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "pins": tuple(fields["pins"]), "notes": tuple(fields["notes"])})

    @property
    def tells_as_glue_5(self) -> bool:
        """Whether this Glue version logs, fails and reads requirements files as 5.0 and later do."""
        return Version(self.glue_version) >= _GLUE_5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """How far a run is: `RUNNING` once its resources are there, then `SUCCEEDED` or `FAILED` with a message."""

    state: str
    message: str | None = None

    def write(self, folder: Path) -> None:
        """Put the report where `read` finds it, replacing the one before as a whole."""
        draft = folder / "report.partial"
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(folder / "report.json")

    @classmethod
    def read(cls, folder: Path) -> RunReport | None:
        """Return the latest report of the run in `folder`, None before there is one."""
        try:
            return cls(**json.loads((folder / "report.json").read_text()))
        except FileNotFoundError:
            return None


class RunFailed(Exception):
    """The run ends in FAILED; the text is its error message, as Glue words it."""


def main(argv: Sequence[str]) -> int:
    """Carry out the run whose specification the descriptor `argv[0]` holds; 0 if it succeeded, else 1."""
    with os.fdopen(int(argv[0]), encoding="utf-8") as specification:
        spec = RunSpec.from_json(specification.read())
    run = JobRunner(spec)
    try:
        run.carry_out()
    except (RunFailed, GluePkgmgrError, OSError) as e:
        message = str(e) if isinstance(e, RunFailed) else f"LAUNCH ERROR | {e}"
        run.system_log(_BOOTSTRAP, message, level="ERROR")
        RunReport(state="FAILED", message=without_credentials(message)[:_LONGEST_MESSAGE]).write(run.folder)
        return 1
    RunReport(state="SUCCEEDED").write(run.folder)
    return 0


class JobRunner:
    """Carries out one run, step by step."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._began = monotonic()
        self.folder = Path(spec.folder)
        self._work = self.folder / "work"
        self._python = self.folder / "env" / "bin" / "python"

    def carry_out(self) -> None:
        """Prepare, install, run the script. Returns if it succeeded. Raises: RunFailed, GluePkgmgrError."""
        for note in self._spec.notes:
            self.system_log(_BOOTSTRAP, note)
        for name in ("work", "home", "tmp", "conf", "downloads", "no-index"):
            (self.folder / name).mkdir()
        with ThreadPoolExecutor(1) as meanwhile:
            preparing = meanwhile.submit(self._prepare_spark)
            self._prepare_python()
            home_of_spark = preparing.result()
        RunReport(state="RUNNING").write(self.folder)
        script = self._download(self._spec.script, self._work)
        self._install()
        extra_path = [self._extra_py_file(url) for url in self._urls("--extra-py-files")]
        for url in self._urls("--extra-files"):
            self._download(url, self._work)
        self._run_script(script, extra_path, home_of_spark)

    def system_log(self, source: str, text: str, level: str = "INFO") -> None:
        """Print a line of the system log, in the form of Glue's own, without the passwords of URLs."""
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        elapsed = int((monotonic() - self._began) * 1000)
        line = "\t".join((level, moment, str(elapsed), source, "[main]", without_credentials(text)))
        print(line, file=sys.stderr, flush=True)

    # -- the environment ---------------------------------------------------------------------------------

    def _prepare_python(self) -> None:
        spec = self._spec
        base = base_environment(
            spec.glue_version, spec.pins, Path(spec.python), cache=Path(spec.cache), say=self._progress
        )
        if base.left_out:
            names = ", ".join(base.left_out)
            self._progress(f"pre-installed on Glue but not here, having no wheel for this machine: {names}")
        clone(base.folder, self.folder / "env")

    def _prepare_spark(self) -> Spark | None:
        spec = self._spec
        if spec.spark is None:
            return None
        found = spark(spec.spark, Path(spec.python), cache=Path(spec.cache), say=self._progress)
        settings = spark_settings(spec.arguments.get("--conf", ""))
        defaults = spark_defaults(s3_root=Path(spec.s3_root), work=self._work, cores=spec.cores, settings=settings)
        (self.folder / "conf" / "spark-defaults.conf").write_text(defaults)
        (self.folder / "conf" / "log4j2.properties").write_text(log_settings(self._spark_log))
        return found

    def _progress(self, text: str) -> None:
        self.system_log(_BOOTSTRAP, text)

    # -- S3 ----------------------------------------------------------------------------------------------

    def _urls(self, argument: str) -> list[str]:
        return comma_separated(self._spec.arguments.get(argument, ""))

    def _download(self, url: str, folder: Path) -> Path:
        """Fetch the object of an `s3://` URL under its own name into `folder`."""
        import boto3  # slow to import, and not needed before now
        from botocore.exceptions import BotoCoreError, ClientError

        parts = urlsplit(url)
        key = url.partition(f"://{parts.netloc}/")[2]  # as written: `#` and `?` may be part of a key
        target = folder / Path(key).name
        if parts.scheme not in ("s3", "s3a", "s3n") or not target.name:
            raise RunFailed(f"LAUNCH ERROR | {without_credentials(url)} is not the S3 path of a file")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            boto3.client("s3").download_file(parts.netloc, key, str(target))
        except (ClientError, BotoCoreError) as e:
            raise RunFailed(
                f"LAUNCH ERROR | Error downloading from S3 for bucket: {parts.netloc}, key: {key}. {e}"
            ) from e
        return target

    def _extra_py_file(self, url: str) -> Path:
        """Return what goes on the path for a file of `--extra-py-files`: a module's folder, else the archive."""
        path = self._download(url, self.folder / "extra-py-files")
        return path.parent if path.suffix == ".py" else path

    # -- pip ---------------------------------------------------------------------------------------------

    def _install(self) -> None:
        request = ModuleRequest.of(self._spec.arguments)
        if not request.items:
            return
        if request.names_requirements_file and not self._spec.tells_as_glue_5:
            text = "ERROR: requirements files (-r) are understood by Glue 5.0 and later only"
            self.system_log(_INSTALLER, f"STDError Stream {text}", level="ERROR")
            raise self._not_installed([text])
        arguments = [*request.other_options, *self._pip_items(request)]
        errors = list(self._pip_install(arguments))
        shutil.rmtree(self.folder / "downloads")  # a requirements file may hold an index URL with its token
        if errors:
            raise self._not_installed(errors)

    def _pip_items(self, request: ModuleRequest) -> Iterator[str]:
        """Yield the items as pip takes them: what lies on S3 is fetched and given as a path."""
        for position, item in enumerate(request.items):
            if not item.startswith("s3://"):
                yield item
                continue
            path = self._download(item, self.folder / "downloads" / str(position))
            if item.endswith(".gluewheels.zip") and self._spec.tells_as_glue_5:
                yield from _wheels_of(path)
            elif request.names_requirements_file and item.endswith(".txt"):
                yield from ("-r", str(path))
            else:
                yield str(path)

    def _pip_install(self, arguments: Sequence[str]) -> Iterator[str]:
        """Run pip, copy what it says to the system log, and yield its errors; none if it succeeded."""
        environment = {
            **installer_environment(self._environment(), None),
            "PIP_NO_CACHE_DIR": "1",
            # An empty folder as the index, not PIP_NO_INDEX: that would overrule the index URL that a
            # requirements file or an option names.
            "PIP_INDEX_URL": (self.folder / "no-index").as_uri(),
        }
        # Glue's pip asks for a password, hears nothing, and tells of the 401; told not to ask, it is silent.
        del environment["PIP_NO_INPUT"]
        command = [str(self._python), "-m", "pip", "install", *arguments]
        with subprocess.Popen(
            command,
            env=environment,
            cwd=self._work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as pip:
            assert pip.stdout is not None  # noqa: S101 - it was asked for
            errors = []
            for line in pip.stdout:
                text = line.rstrip()
                failed = text.startswith("ERROR:")
                stream = "STDError" if failed or text.startswith("WARNING:") else "STDOut"
                self.system_log(_INSTALLER, f"{stream} Stream {text}")
                if failed:
                    errors.append(text)
        if pip.returncode:
            yield from errors or [f"ERROR: pip ended with exit code {pip.returncode}"]

    def _not_installed(self, errors: Sequence[str]) -> RunFailed:
        if self._spec.tells_as_glue_5:
            told = " ".join(dict.fromkeys(errors))
            return RunFailed(f"LAUNCH ERROR | Installation of Additional Python Modules failed: {told}")
        return RunFailed(
            "LAUNCH ERROR | Python Module Installer indicates modules that failed to install, check logs from"
            " the PythonModuleInstaller.Please refer logs for details."
        )

    # -- the script --------------------------------------------------------------------------------------

    def _run_script(self, script: Path, extra_path: Sequence[Path], home_of_spark: Spark | None) -> None:
        main_file = Path(shutil.copy(job_main.__file__, self.folder))
        failure = self.folder / "failure.txt"
        self.system_log(_BOOTSTRAP, f"starting {script.name}")
        with self._relayed_spark_log():
            process = subprocess.Popen(
                [str(self._python), str(main_file), str(failure), str(script), *self._script_arguments()],
                env=self._script_environment(extra_path, home_of_spark),
                cwd=self._work,
                stdin=subprocess.DEVNULL,
                # Up to Glue 4.0 what a script prints on stderr is in the error log, with the system's own.
                stderr=subprocess.STDOUT if self._spec.tells_as_glue_5 else None,
                start_new_session=True,
            )
            returncode = process.wait()
            _await_group_end(process.pid)
        if returncode:
            raise RunFailed(_failure_message(failure, returncode))

    def _script_arguments(self) -> list[str]:
        spec = self._spec
        arguments = {
            "--TempDir": (self.folder / "tmp").as_uri(),
            **spec.arguments,
            "--JOB_ID": spec.job_id,
            "--JOB_NAME": spec.job_name,
            "--JOB_RUN_ID": spec.run_id,
        }
        return [text for pair in arguments.items() for text in pair]

    def _environment(self) -> dict[str, str]:
        """The environment of everything that runs for the job: the endpoints, and nothing of the user's own."""
        kept = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("AWS_")}
        binaries = self._python.parent
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PATH": f"{binaries}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "PYTHONNOUSERSITE": "1",
            # Lines reach the log when they are printed, and stdout keeps its place among stderr.
            "PYTHONUNBUFFERED": "1",
            # File names with any letter: Java takes their encoding from the locale.
            "LC_ALL": "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8",
            "TZ": "UTC",
        }

    def _script_environment(self, extra_path: Sequence[Path], home_of_spark: Spark | None) -> dict[str, str]:
        python_path = [*extra_path, *(home_of_spark.python_path if home_of_spark else ())]
        return {
            **self._environment(),
            **self._redirection(),
            **customer_variables(self._spec.arguments.get("--customer-driver-env-vars", "")),
            **(home_of_spark.environment() if home_of_spark else {}),
            "PYTHONPATH": os.pathsep.join(map(str, python_path)),
            "PYSPARK_PYTHON": str(self._python),
            "PYSPARK_DRIVER_PYTHON": str(self._python),
            "SPARK_CONF_DIR": str(self.folder / "conf"),
            "SPARK_LOCAL_DIRS": str(self.folder / "tmp"),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }

    def _redirection(self) -> dict[str, str]:
        """Variables for a boto3 that the endpoint variables do not reach; none for one that they do."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        if endpoint is None or not is_old(self.folder / "env"):
            return {}
        return redirect(
            self.folder / "conf",
            endpoint=endpoint,
            s3_endpoint=os.environ.get("AWS_ENDPOINT_URL_S3", endpoint),
            region=os.environ["AWS_DEFAULT_REGION"],
        )

    @property
    def _spark_log(self) -> Path:
        return self.folder / "spark.log"

    @contextmanager
    def _relayed_spark_log(self) -> Iterator[None]:
        """Copy what Spark logs to the system log: Spark writes into a named pipe, apart from the script."""
        os.mkfifo(self._spark_log)
        # Opened for writing too, so that it neither waits for a writer nor ends with one.
        pipe = os.open(self._spark_log, os.O_RDWR)
        relay = threading.Thread(target=_copy_until_end_mark, args=(pipe, sys.stderr.fileno()), daemon=True)
        relay.start()
        try:
            yield
        finally:
            os.write(pipe, _END_MARK)
            relay.join()
            os.close(pipe)


_END_MARK = b"\0"  # no log line holds one


def _copy_until_end_mark(source: int, target: int) -> None:
    while True:
        data = os.read(source, 65536)
        os.write(target, data.removesuffix(_END_MARK))
        if data.endswith(_END_MARK):
            return


def _await_group_end(group: int) -> None:
    """Give what the script started, Spark above all, a moment to end in order; the warden ends the rest."""
    deadline = monotonic() + _AFTERGLOW_SECONDS
    with suppress(ProcessLookupError, PermissionError):
        while monotonic() < deadline:
            os.killpg(group, 0)
            sleep(_POLL_SECONDS)


def _wheels_of(archive: Path) -> Iterator[str]:
    """Unpack a zip of wheels and yield what makes pip install all of it, with the zip as its index."""
    folder = archive.parent / "unpacked"
    try:
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
    except (zipfile.BadZipFile, OSError) as e:
        raise RunFailed(
            f"LAUNCH ERROR | Installation of Additional Python Modules failed: ERROR: {archive.name}: {e}"
        ) from e
    wheels = sorted(folder.rglob("*.whl"))
    for parent in sorted({wheel.parent for wheel in wheels}):
        yield from ("--find-links", str(parent))
    requirements = sorted(folder.rglob("requirements.txt"))
    if requirements:
        yield from ("-r", str(requirements[0]))
    else:
        yield from map(str, wheels)


def _failure_message(report: Path, returncode: int) -> str:
    """Return Glue's words for a script that failed: its exception, else how its process ended."""
    try:
        if message := report.read_text("utf-8").strip():
            return f"{message}; {_WITHOUT_AWSGLUE}" if message == _NO_AWSGLUE else message
    except FileNotFoundError:
        pass
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return f"Command failed with exit code {128 - returncode}: the script was ended by {name}"
    return f"Command failed with exit code {returncode}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
