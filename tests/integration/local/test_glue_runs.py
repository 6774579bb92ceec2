"""Job runs through the API of Glue, with real processes, a real pip and a small image."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import re
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from glue_pkgmgr.local.faults import Faults, parse_rule
from glue_pkgmgr.local.jobs.glue import Image
from glue_pkgmgr.local.jobs.requests import GlueError
from tests.integration.local.glue_world import BUCKET, GlueWorld, glue_api, glue_world
from tests.integration.local.made_distributions import wheel
from tests.stand_in import naming, still_alive

MODULES = "--additional-python-modules"
OPTION = "--python-modules-installer-option"
SLEEP = "import time; print('asleep'); time.sleep(600)"


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlueWorld]:
    with glue_world(tmp_path_factory.mktemp("glue")) as world:
        yield world


@pytest.fixture
def world(module_world: GlueWorld) -> Iterator[GlueWorld]:
    """The shared parts, with runs of this test only."""
    module_world.jobs.clear()
    module_world.runs = module_world.new_runs()
    yield module_world
    module_world.runs.close()


def index_option(world: GlueWorld) -> str:
    return f"--index-url={world.index.source.url}"


# -- a run ---------------------------------------------------------------------------------------------------


def test_a_run_succeeds_and_tells_what_glue_tells(world: GlueWorld) -> None:
    script = "import sys; print('one'); print('two', file=sys.stderr); print('three')"

    run = world.run(script, definition={"WorkerType": "G.1X", "NumberOfWorkers": 2})

    assert run["JobRunState"] == "SUCCEEDED", run
    assert "ErrorMessage" not in run
    assert re.fullmatch("jr_[0-9a-f]{64}", run["Id"])
    assert (run["Attempt"], run["GlueVersion"], run["LogGroupName"]) == (0, "5.1", "/aws-glue/jobs")
    assert (run["MaxCapacity"], run["Timeout"]) == (2, 480)
    assert run["StartedOn"] <= run["CompletedOn"]
    assert world.log("output", run["Id"]) == ["one", "two", "three"]
    assert any("starting job.py" in line for line in world.log("error", run["Id"]))


def test_a_run_leaves_no_files_behind(world: GlueWorld) -> None:
    world.run("open('left', 'w').write('x')")
    world.runs.close()

    assert list(world.state.iterdir()) == []


def test_the_script_gets_the_effective_arguments_and_those_of_glue(world: GlueWorld) -> None:
    definition = {
        "DefaultArguments": {"--a": "default", "--b": "default", "--empty": ""},
        "NonOverridableArguments": {"--fixed": "yes"},
    }

    run = world.run(
        "import sys; print(sys.argv[1:])",
        definition=definition,
        Arguments={"--b": "with blank", "--fixed": "no"},
    )

    words = ast.literal_eval(world.log("output", run["Id"])[0])
    given = dict(zip(words[::2], words[1::2], strict=True))
    assert given.pop("--TempDir").startswith("file:///")
    assert given.pop("--JOB_ID").startswith("j_")
    assert given == {
        "--a": "default",
        "--b": "with blank",
        "--empty": "",
        "--fixed": "yes",
        "--JOB_NAME": "job",
        "--JOB_RUN_ID": run["Id"],
    }
    assert run["Arguments"] == {"--b": "with blank", "--fixed": "no"}


def test_boto3_would_find_the_stand_in_and_pip_only_the_image(world: GlueWorld) -> None:
    script = """
import json, os, subprocess, sys
names = ("AWS_ENDPOINT_URL_S3", "AWS_CONFIG_FILE", "PIP_INDEX_URL", "PIP_FIND_LINKS", "CUSTOMER_X", "PYTHONPATH")
listed = subprocess.run([sys.executable, "-m", "pip", "list", "--format=json"], capture_output=True, check=True)
print(json.dumps([{n: os.environ.get(n) for n in names}, [p["name"] for p in json.loads(listed.stdout)]]))
"""

    run = world.run(script, Arguments={"--customer-driver-env-vars": "CUSTOMER_X=1,EVIL=2"})

    environment, installed = json.loads(world.log("output", run["Id"])[0])
    assert environment == {
        "AWS_ENDPOINT_URL_S3": world.environment["AWS_ENDPOINT_URL_S3"],
        "AWS_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": None,
        "PIP_FIND_LINKS": None,
        "CUSTOMER_X": "1",
        "PYTHONPATH": "",
    }
    assert installed == ["pip", "preset"]


def test_a_job_gets_no_variable_of_the_session_the_stand_in_was_started_in(world: GlueWorld) -> None:
    session = {"DATABASE_PASSWORD": "secret-1", "CI_TOKEN": "secret-2", "HTTPS_PROXY": "http://u:secret-3@proxy"}
    world.runs = world.new_runs(endpoints={**world.environment, **session})

    run = world.run("import os; print([n for n, v in os.environ.items() if 'secret-' in v])")

    assert world.log("output", run["Id"]) == ["[]"]


def test_extra_files_lie_beside_the_script_and_extra_modules_on_its_path(world: GlueWorld) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("packed/__init__.py", "WORD = 'from the zip'")
    urls = [world.put("lib/single.py", "WORD = 'from the file'"), world.put("lib/packed.zip", archive.getvalue())]
    settings = world.put("conf/settings.txt", "from the folder")

    run = world.run(
        "import packed, single; print(single.WORD, packed.WORD, open('settings.txt').read())",
        Arguments={"--extra-py-files": ",".join(urls), "--extra-files": settings},
    )

    assert world.log("output", run["Id"]) == ["from the file from the zip from the folder"]


def test_up_to_glue_4_stderr_is_in_the_error_log(world: GlueWorld) -> None:
    script = "import sys; print('one'); print('two', file=sys.stderr)"

    run = world.run(script, definition={"GlueVersion": "4.0"})

    assert world.log("output", run["Id"]) == ["one"]
    assert "two" in world.log("error", run["Id"])


def test_logs_go_where_the_arguments_say(world: GlueWorld) -> None:
    arguments = {"--custom-logGroup-prefix": "/ours", "--custom-logStream-prefix": "nightly"}

    run = world.run("print('hello')", Arguments=arguments)

    assert run["LogGroupName"] == "/ours"
    assert world.log("output", "nightly-driver", group="/ours") == ["hello"]


def test_a_log_arrives_while_the_run_goes_on_and_is_complete_when_it_has_ended(world: GlueWorld) -> None:
    world.job("import sys, time\nprint('early')\ntime.sleep(1.5)\nsys.stdout.write('é' * 300_000 + '\\r\\nlast')")
    run_id = world.start()

    world.await_line("early", run_id)
    assert world.get(run_id)["JobRunState"] == "RUNNING"
    world.end(run_id)

    early, *long, last = world.log("output", run_id)
    assert (early, "".join(long), last) == ("early", "é" * 300_000, "last")


# -- modules -------------------------------------------------------------------------------------------------


def test_modules_come_from_the_index_of_the_option_and_replace_those_of_the_image(world: GlueWorld) -> None:
    world.index.add(wheel("extra-thing", "1.5", requires=["preset>=2"]))
    world.index.add(wheel("preset", "2.0"))
    script = "import extra_thing, preset; print(extra_thing.VERSION, preset.VERSION)"
    arguments = {MODULES: "extra-thing==1.5", OPTION: index_option(world)}

    changed = world.run(script, Arguments=arguments)
    fresh = world.run("import preset; print(preset.VERSION)")

    assert world.log("output", changed["Id"]) == ["1.5 2.0"]
    assert world.log("output", fresh["Id"]) == ["1.0"]
    assert any("PythonModuleInstaller" in line for line in world.log("error", changed["Id"]))


def test_without_an_index_option_no_index_is_reached(world: GlueWorld) -> None:
    world.index.add(wheel("reachable", "1.0"))

    run = world.run("print('never')", Arguments={MODULES: "reachable"})

    assert run["JobRunState"] == "FAILED"
    assert run["ErrorMessage"].startswith(
        "LAUNCH ERROR | Installation of Additional Python Modules failed: ERROR: Could not find a version"
    )
    assert run["ErrorMessage"].endswith("ERROR: No matching distribution found for reachable")
    assert world.log("output", run["Id"]) == []
    assert any("STDError Stream ERROR: No matching" in line for line in world.log("error", run["Id"]))


def test_glue_4_tells_of_a_failed_installation_in_its_own_words(world: GlueWorld) -> None:
    run = world.run("print('never')", definition={"GlueVersion": "4.0"}, Arguments={MODULES: "nowhere"})

    assert run["ErrorMessage"] == (
        "LAUNCH ERROR | Python Module Installer indicates modules that failed to install, check logs from"
        " the PythonModuleInstaller.Please refer logs for details."
    )


def test_a_comma_in_a_specifier_fails_as_on_glue(world: GlueWorld) -> None:
    run = world.run("", Arguments={MODULES: "preset>=1,<7.0", OPTION: index_option(world)})

    assert "ERROR: Invalid requirement: '<7.0'" in run["ErrorMessage"]


def test_a_wheel_on_s3_is_installed_under_its_own_name(world: GlueWorld) -> None:
    filename, content = wheel("from-s3", "3.0")
    url = world.put(f"wheels/{filename}", content)

    run = world.run("import from_s3; print(from_s3.VERSION)", Arguments={MODULES: url})

    assert world.log("output", run["Id"]) == ["3.0"]


def test_a_missing_object_is_named(world: GlueWorld) -> None:
    run = world.run("", Arguments={MODULES: f"s3://{BUCKET}/nothing-1.0-py3-none-any.whl"})

    assert run["ErrorMessage"].startswith(
        f"LAUNCH ERROR | Error downloading from S3 for bucket: {BUCKET}, key: nothing-1.0-py3-none-any.whl."
    )


def requirements(world: GlueWorld, *, hashed: bytes, url: str) -> str:
    digest = hashlib.sha256(hashed).hexdigest()
    return world.put("requirements.txt", f"--index-url {url}\npinned>=1,<2 --hash=sha256:{digest}\n")


def test_a_requirements_file_brings_its_index_ranges_and_hashes(world: GlueWorld) -> None:
    world.index.add(made := wheel("pinned", "1.0"))
    world.index.add(wheel("pinned", "1.1"))
    exact = world.put(
        "exact.txt",
        f"--index-url {world.index.source.url}\npinned==1.0 --hash=sha256:{hashlib.sha256(made[1]).hexdigest()}\n",
    )

    run = world.run("import pinned; print(pinned.VERSION)", Arguments={MODULES: exact, OPTION: "-r"})

    assert world.log("output", run["Id"]) == ["1.0"], run


def test_a_wrong_hash_installs_nothing(world: GlueWorld) -> None:
    world.index.add(wheel("pinned", "1.0"))
    url = world.put("wrong.txt", f"--index-url {world.index.source.url}\npinned==1.0 --hash=sha256:{'0' * 64}\n")

    run = world.run("print('never')", Arguments={MODULES: url, OPTION: "-r"})

    assert run["JobRunState"] == "FAILED"
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in run["ErrorMessage"]


def test_glue_4_reads_no_requirements_files(world: GlueWorld) -> None:
    url = world.put("r.txt", "preset\n")

    run = world.run("", definition={"GlueVersion": "4.0"}, Arguments={MODULES: url, OPTION: "-r"})

    assert run["ErrorMessage"].startswith("LAUNCH ERROR | Python Module Installer")
    assert any("Glue 5.0 and later only" in line for line in world.log("error", run["Id"]))


@pytest.mark.parametrize("with_requirements", [True, False])
def test_a_zip_of_wheels_is_its_own_index(world: GlueWorld, with_requirements: bool) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for filename, content in (wheel("top", "1.0", requires=["below"]), wheel("below", "2.0")):
            zipped.writestr(f"wheels/{filename}", content)
        if with_requirements:
            zipped.writestr("wheels/requirements.txt", "top==1.0\n")
    url = world.put("all-1.0.gluewheels.zip", archive.getvalue())

    run = world.run("import below; print(below.VERSION)", Arguments={MODULES: url, OPTION: "--no-index"})

    assert world.log("output", run["Id"]) == ["2.0"], run


@pytest.mark.parametrize("scheme", ["http://", "http:://"])
def test_the_password_of_an_index_is_in_no_log_message_or_file(world: GlueWorld, scheme: str) -> None:
    address = world.index.source.url.removeprefix("http://")
    option = f"--index-url={scheme}aws:THE-TOKEN@{address}"
    world.job("print('ran')")
    run_id = world.start(Arguments={MODULES: "nowhere,preset", OPTION: option})
    found = set()
    while "CompletedOn" not in world.get(run_id):
        found |= {path.name for path in files(world.state) if b"THE-TOKEN" in read(path)}

    run = world.get(run_id)
    logged = "\n".join(world.log("error", run_id) + world.log("output", run_id))
    assert run["JobRunState"] == "FAILED"
    assert "THE-TOKEN" not in run["ErrorMessage"] + logged
    assert "****" in logged
    assert not found


def test_a_requirements_file_is_gone_before_the_script_starts(world: GlueWorld) -> None:
    world.index.add(made := wheel("pinned", "1.0"))
    url = requirements(world, hashed=made[1], url=world.index.source.url.replace("//", "//aws:THE-TOKEN@"))
    script = """
import pathlib
run = pathlib.Path.cwd().parent
files = [p for p in run.rglob("*") if p.is_file() and not p.is_symlink()]
print([p.name for p in files if b"THE-" + b"TOKEN" in p.read_bytes()])
"""
    world.index.projects["pinned"] = {made[0]: world.index.projects["pinned"][made[0]]}

    run = world.run(script, Arguments={MODULES: url, OPTION: "-r"})

    assert world.log("output", run["Id"]) == ["[]"], run


def files(folder: Path) -> list[Path]:
    """Return the runs' files, those of the environments excepted."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = set(folders) - {"env"}
        found += [Path(root) / name for name in names]
    return found


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it went while we looked
        return b""


# -- how a script fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import nosuch", "ModuleNotFoundError: No module named 'nosuch'"),
        (
            "from awsglue.utils import getResolvedOptions",
            "ModuleNotFoundError: No module named 'awsglue'; the stand-in has none, its licence forbids: "
            "import it only where it is, else use plain Spark",
        ),
        ("raise ValueError('a\\nb')", "ValueError: a\nb"),
        ("import sys; sys.exit(1)", "SystemExit: 1"),
        ("import sys; sys.exit('no data')", "SystemExit: no data"),
        ("import os; os._exit(3)", "Command failed with exit code 3"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "Command failed with exit code 137: the script was ended by SIGKILL",
        ),
    ],
)
def test_a_failed_script_gives_the_run_its_message(world: GlueWorld, script: str, message: str) -> None:
    run = world.run(script)

    assert (run["JobRunState"], run["ErrorMessage"]) == ("FAILED", message)


def test_the_traceback_is_the_scripts_own(world: GlueWorld) -> None:
    run = world.run("def f():\n    1 / 0\n\nf()")

    head, *_, last = log = world.log("output", run["Id"])
    assert (head, last) == ("Traceback (most recent call last):", "ZeroDivisionError: division by zero")
    assert sum("File " in line for line in log) == 2
    assert all("job.py" in line for line in log if "File " in line)


def test_a_syntax_error_names_the_line(world: GlueWorld) -> None:
    run = world.run("print('fine')\nif:\n")

    assert run["ErrorMessage"].startswith("SyntaxError: invalid syntax (job.py, line 2)")
    assert any("job.py" in line and "line 2" in line for line in world.log("output", run["Id"]))


def test_exit_zero_is_success(world: GlueWorld) -> None:
    assert world.run("import sys; sys.exit(0)")["JobRunState"] == "SUCCEEDED"


def test_a_missing_script_is_named(world: GlueWorld) -> None:
    world.job("")
    world.jobs["job"]["Command"]["ScriptLocation"] = f"s3://{BUCKET}/gone.py"

    run = world.end(world.start())

    assert "bucket: code, key: gone.py" in run["ErrorMessage"]


# -- stopping, time, places ----------------------------------------------------------------------------------


def test_stopping_ends_every_process_of_the_run(world: GlueWorld) -> None:
    script = "import subprocess; subprocess.Popen(['sleep', '601'], start_new_session=True)\n" + SLEEP
    world.job(script)
    run_id = world.start()
    world.await_line("asleep", run_id)
    processes = naming(world.state / run_id)
    children = {child for process in processes for child in process.children(recursive=True)}
    assert [child for child in children if child.cmdline() == ["sleep", "601"]]

    answer = world.runs.handle("BatchStopJobRun", {"JobName": "job", "JobRunIds": [run_id]})
    run = world.end(run_id)

    assert answer == {"SuccessfulSubmissions": [{"JobName": "job", "JobRunId": run_id}], "Errors": []}
    assert run["JobRunState"] == "STOPPED"
    assert not still_alive([*processes, *children], 0)


def test_stopping_what_cannot_be_stopped_is_an_error_of_that_run_only(world: GlueWorld) -> None:
    done = world.run("")["Id"]
    world.job(SLEEP)
    asleep = world.start()

    answer = world.runs.handle("BatchStopJobRun", {"JobName": "job", "JobRunIds": [done, "jr_no", asleep]})

    assert [s["JobRunId"] for s in answer["SuccessfulSubmissions"]] == [asleep]
    codes = {error["JobRunId"]: error["ErrorDetail"]["ErrorCode"] for error in answer["Errors"]}
    assert codes == {done: "JobRunInTerminalStateException", "jr_no": "EntityNotFoundException"}


def test_a_run_past_its_timeout_ends_with_its_processes(world: GlueWorld) -> None:
    world.runs = world.new_runs(seconds_per_minute=1.0)
    script = "import subprocess; subprocess.Popen(['sleep', '602'])\n" + SLEEP
    world.job(script, MaxRetries=2)
    run_id = world.start(Timeout=3)

    run = world.end(run_id)

    assert (run["JobRunState"], run["Timeout"]) == ("TIMEOUT", 3)
    assert run["ExecutionTime"] >= 3
    assert not naming(world.state / run_id)
    assert len(world.runs.handle("GetJobRuns", {"JobName": "job"})["JobRuns"]) == 1  # never retried


def test_a_run_may_end_otherwise_than_its_script_did_when_it_is_told_to(world: GlueWorld) -> None:
    faults = Faults()
    faults.set(
        [parse_rule(text) for text in ("run:end-after-script=TIMEOUT*1", "run:starting=1ms", "run:message=so")]
    )
    world.runs = world.new_runs(faults=faults)

    told = world.run("print('hello')")
    assert (told["JobRunState"], told["ErrorMessage"]) == ("TIMEOUT", "so")
    assert world.log("output", told["Id"]) == ["hello"]

    assert world.run("print('hello')")["JobRunState"] == "SUCCEEDED"


def test_a_job_has_one_run_at_a_time_unless_it_says_otherwise(world: GlueWorld) -> None:
    world.job(SLEEP)
    first = world.start()
    with pytest.raises(GlueError, match="Concurrent runs exceeded") as refusal:
        world.start()
    assert refusal.value.code == "ConcurrentRunsExceededException"

    world.jobs["job"]["ExecutionProperty"] = {"MaxConcurrentRuns": 2}

    assert world.start() != first


def test_a_queued_run_waits_for_its_place(world: GlueWorld) -> None:
    world.job(SLEEP)
    first = world.start()
    waiting = [world.start(JobRunQueuingEnabled=True) for _ in range(2)]
    states = [world.get(run_id)["JobRunState"] for run_id in waiting]
    assert states == ["WAITING", "WAITING"]
    assert "concurrent runs" in world.get(waiting[0])["StateDetail"]

    world.runs.handle("BatchStopJobRun", {"JobName": "job", "JobRunIds": [waiting[1]]})
    assert world.get(waiting[1])["JobRunState"] == "STOPPED"
    world.runs.handle("BatchStopJobRun", {"JobName": "job", "JobRunIds": [first]})

    world.end(first)
    assert "StateDetail" not in world.reach(waiting[0], "STARTING", "RUNNING")


def test_a_failed_run_is_tried_again_as_often_as_the_job_allows(world: GlueWorld) -> None:
    script = f"""
import pathlib, sys
marker = pathlib.Path({str(world.state.parent / "marker")!r})
tried = len(marker.read_text()) if marker.exists() else 0
marker.write_text("x" * (tried + 1))
sys.exit(0 if tried == 2 else 1)
"""
    world.job(script, MaxRetries=5)
    run_id = world.start()

    runs: list[dict[str, Any]] = []
    while not runs or runs[0]["JobRunState"] != "SUCCEEDED":
        runs = world.runs.handle("GetJobRuns", {"JobName": "job"})["JobRuns"]
        time.sleep(0.05)

    assert [run["Id"] for run in runs] == [f"{run_id}_attempt_2", f"{run_id}_attempt_1", run_id]
    assert [run["Attempt"] for run in runs] == [2, 1, 0]
    assert [run.get("PreviousRunId") for run in runs] == [f"{run_id}_attempt_1", run_id, None]
    assert [run["JobRunState"] for run in runs] == ["SUCCEEDED", "FAILED", "FAILED"]


def test_a_run_can_be_retried_by_its_id(world: GlueWorld) -> None:
    failed = world.run("raise ValueError")["Id"]
    world.job("print('mended')")

    again = world.end(world.start(JobRunId=failed))

    assert (again["Id"], again["PreviousRunId"], again["Attempt"]) == (f"{failed}_attempt_1", failed, 1)


def test_closing_stops_all_runs_and_takes_no_more(world: GlueWorld) -> None:
    world.job(SLEEP, ExecutionProperty={"MaxConcurrentRuns": 2}, MaxRetries=1)
    running = [world.start(), world.start()]
    queued = world.start(JobRunQueuingEnabled=True)
    world.await_line("asleep", running[0])

    world.runs.close()

    assert {world.get(run_id)["JobRunState"] for run_id in (*running, queued)} == {"STOPPED"}
    assert not naming(world.state)
    assert list(world.state.iterdir()) == []
    with pytest.raises(GlueError, match="stopping"):
        world.start()


def test_leftovers_of_a_killed_stand_in_are_removed(world: GlueWorld) -> None:
    (world.state / "jr_old" / "env").mkdir(parents=True)

    world.new_runs()

    assert list(world.state.iterdir()) == []


# -- the Python of a Glue version ----------------------------------------------------------------------------


def only_python(world: GlueWorld, folder: Path, *programs: str) -> dict[str, str]:
    """Return the world's environment as on a machine that has nothing but `programs`."""
    for program in programs:
        (folder / Path(program).name).symlink_to(program)
    return {
        **world.environment,
        "PATH": str(folder),
        "HOME": str(folder),
        "PYENV_ROOT": str(folder),
        "XDG_DATA_HOME": str(folder),
    }


def test_a_version_whose_python_is_missing_is_refused_with_the_reason(world: GlueWorld, tmp_path: Path) -> None:
    world.runs = world.new_runs(nearest_python=False, endpoints=only_python(world, tmp_path))
    world.job("")

    with pytest.raises(GlueError, match=r"Glue 5\.1 runs on Python 3\.11, which is not on this machine"):
        world.start()


def test_the_nearest_python_is_taken_when_allowed_and_told(world: GlueWorld, tmp_path: Path) -> None:
    environment = only_python(world, tmp_path, os.path.realpath(sys.executable))
    world.runs = world.new_runs(endpoints=environment)
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"

    run = world.run("import sys; print('%d.%d' % sys.version_info[:2])", definition={"GlueVersion": "3.0"})

    assert world.log("output", run["Id"]) == [mine], run
    assert any(f"takes the nearest, Python {mine}" in line for line in world.log("error", run["Id"]))


# -- boto3 in the job ----------------------------------------------------------------------------------------

OLD_BOTO3 = (
    "boto3==1.24.59",
    "botocore==1.27.59",
    "jmespath==1.0.1",
    "pip==24.0",
    "python-dateutil==2.9.0.post0",
    "s3transfer==0.6.0",
    "six==1.17.0",
    "urllib3==1.26.20",
)


def test_even_a_boto3_that_knows_no_endpoint_variables_calls_the_stand_in(world: GlueWorld) -> None:
    real_index = {k: v for k, v in world.environment.items() if k != "PIP_INDEX_URL"}
    real_index |= {k: v for k, v in os.environ.items() if k == "PIP_INDEX_URL"}
    image = Image(pins=OLD_BOTO3, spark=None)
    world.runs = world.new_runs(endpoints=real_index, image=lambda _: image)
    script = """
import boto3
clients = [boto3.client(name) for name in ("s3", "sts", "glue", "logs")]
print(boto3.__version__, *[client.meta.endpoint_url for client in clients])
clients[0].put_object(Bucket="code", Key="from/the job.txt", Body=b"x")
print([o["Key"] for o in clients[0].list_objects_v2(Bucket="code", Prefix="from/")["Contents"]])
groups = clients[3].describe_log_groups()["logGroups"]
print(clients[1].get_caller_identity()["Account"], groups[0]["logGroupName"])
"""

    run = world.run(script, definition={"GlueVersion": "4.0"})

    s3, aws = (world.environment[name] for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    assert world.log("output", run["Id"]) == [
        f"1.24.59 {s3} {aws} {aws} {aws}",
        "['from/the job.txt']",
        "123456789012 /aws-glue/jobs/error",
    ], world.log("error", run["Id"])


# -- the wire ------------------------------------------------------------------------------------------------


def test_boto3_reads_the_answers(world: GlueWorld) -> None:
    world.job("print('hello')", ExecutionProperty={"MaxConcurrentRuns": 5})
    with glue_api(world.runs) as glue:
        ids = [glue.start_job_run(JobName="job")["JobRunId"] for _ in range(3)]
        for run_id in ids:
            world.end(run_id)
        run = glue.get_job_run(JobName="job", RunId=ids[0])["JobRun"]
        pages = list(glue.get_paginator("get_job_runs").paginate(JobName="job", PaginationConfig={"PageSize": 2}))

    assert run["StartedOn"].tzinfo is not None
    assert abs((run["StartedOn"] - world.get(ids[0])["StartedOn"]).total_seconds()) < 0.01
    assert [[run["Id"] for run in page["JobRuns"]] for page in pages] == [[ids[2], ids[1]], [ids[0]]]


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("start_job_run", {"JobName": "nobody"}, "EntityNotFoundException"),
        ("get_job_runs", {"JobName": "nobody"}, "EntityNotFoundException"),
        ("get_job_run", {"JobName": "job", "RunId": "jr_0"}, "EntityNotFoundException"),
        ("start_job_run", {"JobName": "job", "Arguments": {"--mode": "x"}}, "InvalidInputException"),
        ("get_job_runs", {"JobName": "job", "NextToken": "x"}, "InvalidInputException"),
        ("start_job_run", {"JobName": "job", "JobRunId": "jr_0"}, "EntityNotFoundException"),
    ],
)
def test_errors_are_those_of_the_service(
    world: GlueWorld, operation: str, request_: dict[str, Any], code: str
) -> None:
    world.job("")
    with glue_api(world.runs) as glue, pytest.raises(ClientError) as refusal:
        getattr(glue, operation)(**request_)

    assert refusal.value.response["Error"]["Code"] == code
    assert refusal.value.response["Error"]["Message"]
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
