"""A stand-in as one thing: up, down, status, and what a kill at any moment leaves."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.clients import Clients
from glue_pkgmgr.local.lifecycle import Condition, default_state, down, status, up
from glue_pkgmgr.local.state import StandIn, StateFolder
from glue_pkgmgr.settings import Settings
from tests.stand_in import BUCKET, naming, sample_settings, still_alive, tree

ROOT = Path(__file__).parents[3]
# Prints a line when the process of the stand-in exists, so that a test can interrupt it from then on.
UP = """
import sys
from pathlib import Path
from glue_pkgmgr.local.lifecycle import up
from glue_pkgmgr.settings import load_settings
up(load_settings(Path(sys.argv[1])), state=Path(sys.argv[2]), progress=lambda text: print(text, flush=True))
"""


def silent(_: str) -> None:
    pass


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return sample_settings(tmp_path)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    down(folder)


@pytest.fixture
def start(settings: Settings, state: Path) -> Callable[[], StandIn]:
    return lambda: up(settings, state=state, progress=silent)


def test_up_twice_is_one_stand_in(start: Callable[[], StandIn]) -> None:
    assert start() == start()


def test_two_ups_at_once_are_one_stand_in(start: Callable[[], StandIn]) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(start), pool.submit(start)
        assert first.result() == second.result()


def test_status_follows_the_life(start: Callable[[], StandIn], state: Path) -> None:
    assert status(state).condition is Condition.NOT_RUNNING
    stand_in = start()
    told = status(state)
    assert (told.condition, told.stand_in, told.running) == (Condition.RUNNING, stand_in, True)
    os.kill(stand_in.pid, signal.SIGSTOP)
    try:
        with pytest.raises(SettingsError, match="does not answer; `glue-pkgmgr local down` ends it"):
            start()
    finally:
        os.kill(stand_in.pid, signal.SIGCONT)
    down(state)
    assert status(state).condition is Condition.NOT_RUNNING


def test_down_leaves_no_process_and_can_be_repeated(start: Callable[[], StandIn], state: Path) -> None:
    processes = tree(start().pid)
    assert len(processes) >= 3  # itself, the warden, rclone
    assert down(state)
    assert still_alive(processes) == []
    assert not down(state)


def test_sigterm_ends_a_stand_in_as_down_does(start: Callable[[], StandIn], state: Path) -> None:
    processes = tree(start().pid)
    processes[0].terminate()
    assert still_alive(processes) == []
    assert status(state).condition is Condition.NOT_RUNNING


def test_a_killed_stand_in_leaves_no_orphan_and_no_loss(start: Callable[[], StandIn], state: Path) -> None:
    stand_in = start()
    Clients(stand_in)("s3").put_object(Bucket=BUCKET, Key="data/ä b=1.csv", Body=b"kept")
    processes = tree(stand_in.pid)
    processes[0].kill()
    assert still_alive(processes) == []
    assert status(state).condition is Condition.KILLED

    again = start()
    assert again.pid != stand_in.pid
    reply = Clients(again)("s3").get_object(Bucket=BUCKET, Key="data/ä b=1.csv")
    assert reply["Body"].read() == b"kept"


def test_a_kill_in_the_middle_of_an_upload_leaves_no_half_object(
    start: Callable[[], StandIn], state: Path
) -> None:
    stand_in = start()
    folder = StateFolder(state).s3 / BUCKET
    wanted = {"Bucket": BUCKET, "Key": "half.bin"}
    url = urlsplit(Clients(stand_in)("s3").generate_presigned_url("put_object", Params=wanted))
    with socket.create_connection(("127.0.0.1", url.port or 0)) as connection:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: s3\r\nContent-Length: 10000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 5_000_000)
        deadline = time.monotonic() + 30
        while not list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(folder.iterdir())  # it has begun
        processes = tree(stand_in.pid)
        processes[0].kill()
        assert still_alive(processes) == []
    assert Clients(start())("s3").list_objects_v2(Bucket=BUCKET).get("Contents", []) == []
    assert list(folder.iterdir()) == []


def test_without_its_s3_there_is_no_stand_in(start: Callable[[], StandIn], state: Path) -> None:
    processes = tree(start().pid)
    next(p for p in processes if p.name() == "rclone").kill()
    assert still_alive(processes) == []
    assert "rclone has ended" in StateFolder(state).log.read_text()
    assert start().alive


def test_a_stand_in_whose_folder_is_deleted_ends(start: Callable[[], StandIn], state: Path) -> None:
    processes = tree(start().pid)
    shutil.rmtree(state)
    assert still_alive(processes, 30) == []


def test_two_stand_ins_live_side_by_side(start: Callable[[], StandIn], tmp_path: Path) -> None:
    other_home = tmp_path / "other"
    other_home.mkdir()
    other_settings = sample_settings(other_home, account="999988887777", region="us-west-2")
    first = start()
    try:
        second = up(other_settings, state=default_state(other_settings), progress=silent)
        Clients(first)("s3").put_object(Bucket=BUCKET, Key="only-here", Body=b"")
        assert Clients(second)("s3").list_objects_v2(Bucket=BUCKET).get("Contents", []) == []
        accounts = [Clients(s)("sts").get_caller_identity()["Account"] for s in (first, second)]
        assert accounts == ["111122223333", "999988887777"]
    finally:
        down(default_state(other_settings))
    assert status(StateFolder(tmp_path / "state").root).running


def test_a_taken_port_is_one_sentence_and_nothing_stays(settings: Settings, state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} of 127.0.0.1 is taken by another program"):
            up(settings, state=state, port=port, progress=silent)
    assert naming(state) == []
    assert status(state).condition is Condition.NOT_RUNNING
    # Free now: the same port can be had, and asked for again, but not another one.
    assert up(settings, state=state, port=port, progress=silent).endpoint.endswith(f":{port}")
    assert up(settings, state=state, port=port, progress=silent).alive
    with pytest.raises(SettingsError, match=f"has port {port}, not 1; end it first"):
        up(settings, state=state, port=1, progress=silent)


@pytest.mark.parametrize(("key", "value"), [("owner", "999988887777"), ("region", "us-west-2")])
def test_a_running_stand_in_is_not_taken_for_another_account_or_region(
    start: Callable[[], StandIn], settings: Settings, state: Path, key: str, value: str
) -> None:
    start()
    other = replace(settings, codeartifact=replace(settings.codeartifact, **{key: value}))
    with pytest.raises(SettingsError, match=rf"has \w+ .*, not {value}; end it first"):
        up(other, state=state, progress=silent)


def test_a_record_of_a_process_that_is_another_one_now_harms_nobody(
    start: Callable[[], StandIn], state: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        before = psutil.Process(bystander.pid).create_time() - 3600
        folder = StateFolder(state)
        folder.prepare()
        stand_in = start()
        down(state)
        folder.write(replace(stand_in, pid=bystander.pid, process_started=before))
        assert status(state).condition is Condition.KILLED
        assert not down(state)
        folder.write(replace(stand_in, pid=bystander.pid, process_started=before))
        assert start().pid != bystander.pid
        assert bystander.poll() is None
        bystander.communicate(b"\n")


def test_a_missing_script_is_told_and_the_job_is_there(settings: Settings, state: Path) -> None:
    (settings.root / "taxi.py").unlink()
    told: list[str] = []
    stand_in = up(settings, state=state, progress=told.append)
    assert any("'taxi' has no script yet" in text and "taxi.py" in text for text in told)
    job = Clients(stand_in)("glue").get_job(JobName="taxi-job")["Job"]
    assert job["Command"]["ScriptLocation"] == "s3://staging-area/glue-pkgmgr/scripts/taxi.py"


def test_a_file_where_the_folder_should_be_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot write the stand-in's state folder .*: Not a directory"):
        up(settings, state=tmp_path / "file" / "state", progress=silent)


def test_a_full_disk_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    # A limit on the size of files fails writes as a full disk does.
    finished = subprocess.run(
        [sys.executable, "-c", UP, settings.path, tmp_path / "state"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert "SettingsError: cannot write the stand-in's state folder" in finished.stderr
    assert "make room" in finished.stderr
    assert naming(tmp_path / "state") == []


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.6, 1.0])
def test_an_interrupted_start_leaves_nothing(settings: Settings, tmp_path: Path, delay: float) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-c", UP, settings.path, state]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as starting:
        assert starting.stdout is not None
        assert starting.stdout.readline() == "starting the stand-in\n"
        time.sleep(delay)
        starting.send_signal(signal.SIGINT)
        _, errors = starting.communicate(timeout=60)
    if starting.returncode == 0:  # it was quicker than the signal
        assert down(state)
    else:
        assert "KeyboardInterrupt" in errors
    # A stand-in whose starter was interrupted before it knew of it finds out by itself, a little later.
    assert still_alive(naming(state)) == []
    assert status(state).condition is Condition.NOT_RUNNING
    try:
        assert up(settings, state=state, progress=silent).alive
    finally:
        down(state)


def test_a_start_whose_starter_is_killed_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-c", UP, settings.path, state]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as starting:
        assert starting.stdout is not None
        assert starting.stdout.readline() == "starting the stand-in\n"
        deadline = time.monotonic() + 30
        while not [p for p in naming(state) if p.pid != starting.pid] and time.monotonic() < deadline:
            time.sleep(0.01)
        starting.kill()
    # Between fork and exec a process names nothing: it is the record that must go as well.
    deadline = time.monotonic() + 60
    while (naming(state) or status(state).condition is not Condition.NOT_RUNNING) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert still_alive(naming(state), 30) == []
    assert status(state).condition is Condition.NOT_RUNNING


def test_a_stand_in_holds_no_terminal_and_no_open_end_of_its_starter(start: Callable[[], StandIn]) -> None:
    stand_in = start()
    process = psutil.Process(stand_in.pid)
    assert process.terminal() is None
    assert os.getsid(stand_in.pid) != os.getsid(0)
    assert process.ppid() != os.getpid()
