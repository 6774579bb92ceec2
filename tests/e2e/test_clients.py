"""A running stand-in, used by clients nobody here wrote."""

from __future__ import annotations

import json
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.e2e.conftest import BUCKET, Road

pytestmark = pytest.mark.timeout(900)

DOMAIN = "enterprise-repo-domain"
REPOSITORY = "enterprise-repo"
WHERE = ("--domain", DOMAIN, "--repository", REPOSITORY)
RUN_TO_ITS_END = """
    import boto3, sys, time
    glue = boto3.client("glue")
    run = glue.start_job_run(JobName="probe-job", Arguments={"--additional-python-modules": sys.argv[1]})
    while True:
        state = glue.get_job_run(JobName="probe-job", RunId=run["JobRunId"])["JobRun"]["JobRunState"]
        if state not in ("STARTING", "RUNNING"):
            break
        time.sleep(0.2)
    print(state)
    """


class Client:
    """Other people's commands, with a home folder that they may write their logins into."""

    def __init__(self, road: Road, home: Path) -> None:
        self.road = road
        self.home = home

    def run(self, *words: str, status: int = 0) -> CompletedProcess[str]:
        """Run `words` against the stand-in; they have to end with `status`."""
        # What this machine's pip is configured to look at besides would hide where a file came from.
        elsewhere = {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "AWS_PAGER": "", "UV_NO_CONFIG": "1"}
        finished = self.road.workspace.client(*words, HOME=str(self.home), PIP_NO_CACHE_DIR="1", **elsewhere)
        assert finished.returncode == status, finished.stdout + finished.stderr
        return finished

    def aws(self, *words: str) -> str:
        """Run the AWS command line and return what it prints."""
        return self.run("aws", *words).stdout

    def answer(self, *words: str) -> dict[str, object]:
        """Return the JSON object that the AWS command line prints."""
        return json.loads(self.aws(*words, "--output", "json"))

    def index_url(self) -> str:
        """Return an index URL as the documentation of CodeArtifact tells to make one."""
        token = self.aws(
            *("codeartifact", "get-authorization-token", "--domain", DOMAIN),
            *("--query", "authorizationToken", "--output", "text"),
        ).strip()
        endpoint = self.answer("codeartifact", "get-repository-endpoint", *WHERE, "--format", "pypi")
        return str(endpoint["repositoryEndpoint"]).replace("://", f"://aws:{token}@") + "simple/"


@pytest.fixture
def client(road, tmp_path):
    """Return clients with an empty home folder."""
    home = tmp_path / "home"
    home.mkdir()
    return Client(road, home)


def own_project(folder: Path, name: str) -> Path:
    """Write a small project and return its folder."""
    source = folder / name
    source.mkdir()
    (source / f"{name}.py").write_text("ANSWER = 42\n")
    (source / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{name}"\nversion = "1.0.0"\n'
        f'[tool.hatch.build.targets.wheel]\ninclude = ["{name}.py"]\n'
    )
    return source


def built(client: Client, folder: Path, name: str) -> list[str]:
    """Build a project with `python -m build` and return its sdist and wheel."""
    source, out = own_project(folder, name), folder / "dist"
    client.run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source))
    return sorted(str(file) for file in out.iterdir())


def test_twine_uploads_after_aws_login_and_pip_installs_after_its_own(client, tmp_path):
    client.aws("codeartifact", "login", "--tool", "twine", *WHERE)
    files = built(client, tmp_path, "house_style")
    client.run("twine", "upload", "--non-interactive", "-r", "codeartifact", *files)

    versions = client.answer(
        "codeartifact", "list-package-versions", *WHERE, "--format", "pypi", "--package", "house-style"
    )
    assert [(one["version"], one["status"]) for one in versions["versions"]] == [("1.0.0", "Published")]

    client.aws("codeartifact", "login", "--tool", "pip", *WHERE)
    target = tmp_path / "target"
    report = tmp_path / "report.json"
    pip = (sys.executable, "-m", "pip")
    client.run(
        *(*pip, "install", "-q", "--no-deps", "--target", str(target), "--report", str(report)),
        *("house_style", "more-itertools"),
    )
    assert (target / "house_style.py").read_text() == "ANSWER = 42\n"
    endpoint = client.road.told["up"]["endpoint"]
    urls = [one["download_info"]["url"] for one in json.loads(report.read_text())["install"]]
    assert len(urls) == 2
    assert all(endpoint.partition("://")[2] in url for url in urls)

    sources = tmp_path / "sources"
    client.run(
        *(*pip, "download", "-q", "--no-deps", "--no-binary=:all:", "--no-build-isolation"),
        *("-d", str(sources), "house_style"),
    )
    with tarfile.open(sources / "house_style-1.0.0.tar.gz") as archive:
        assert "house_style-1.0.0/house_style.py" in archive.getnames()


def test_uv_publishes_and_installs(client, tmp_path):
    files = built(client, tmp_path, "night_shift")
    url = client.index_url()
    token = url.partition("aws:")[2].partition("@")[0]
    publish_url = url.replace(f"aws:{token}@", "").removesuffix("simple/")
    client.run("uv", "publish", "-q", "--publish-url", publish_url, "-u", "aws", "-p", token, *files)
    target = tmp_path / "target"
    client.run(
        *("uv", "pip", "install", "-q", "--no-cache", "--python", sys.executable, "--target", str(target)),
        *("--index-url", url, "night_shift", "more-itertools"),
    )
    assert (target / "night_shift.py").is_file()
    assert (target / "more_itertools-10.8.0.dist-info").is_dir()


def test_pip_and_uv_install_what_publish_has_published(client, tmp_path):
    (record,) = client.road.told["publish"]["published"]
    (wheel,) = [one for one in (*record["uploaded"], *record["already"]) if one["filename"].endswith(".whl")]
    release = ("--no-deps", "--index-url", client.index_url(), "glueutils==0.2.0")
    for name, command in (
        ("pip", (sys.executable, "-m", "pip", "install", "-q")),
        ("uv", ("uv", "pip", "install", "-q", "--no-cache", "--python", sys.executable)),
    ):
        target = tmp_path / name
        client.run(*command, "--target", str(target), *release)
        with zipfile.ZipFile(client.road.workspace.folder / wheel["path"]) as published:
            module = "glueutils/__init__.py"
            assert (target / module).read_bytes() == published.read(module)


def test_pip_is_told_that_a_release_nobody_mirrored_is_not_there(client, tmp_path):
    told = client.run(
        *(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path / "none")),
        *("--index-url", client.index_url(), "more-itertools==10.7.0"),
        status=1,
    )
    assert "No matching distribution found for more-itertools==10.7.0" in told.stderr


def test_aws_starts_a_run_waits_for_it_and_reads_its_log(client):
    arguments = {
        "--additional-python-modules": "glueutils==0.2.0,more-itertools==10.8.0",
        "--python-modules-installer-option": f"--index-url={client.index_url()}",
    }
    started = client.answer(
        *("glue", "start-job-run", "--job-name", "probe-job", "--arguments", json.dumps(arguments))
    )
    run = started["JobRunId"]
    script = (
        'while :; do state=$(aws glue get-job-run --job-name probe-job --run-id "$0"'
        " --query JobRun.JobRunState --output text); case $state in STARTING|RUNNING) ;;"
        " *) echo $state; exit;; esac; done"
    )
    assert client.run("sh", "-c", script, run).stdout == "SUCCEEDED\n"
    events = client.answer(
        *("logs", "filter-log-events", "--log-group-name", "/aws-glue/jobs/output"),
        *("--log-stream-names", run, "--filter-pattern", "version.glueutils"),
    )
    assert [event["message"].strip() for event in events["events"]] == ["version.glueutils=0.2.0"]


def test_boto3_starts_a_run_with_wheels_from_s3_and_no_index(client):
    locations = []
    for package, version in (("glueutils", "0.2.0"), ("more-itertools", "10.8.0")):
        wheel = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
        fetched = client.home / wheel
        client.aws(
            *("codeartifact", "get-package-version-asset", *WHERE, "--format", "pypi", "--package", package),
            *("--package-version", version, "--asset", wheel, str(fetched)),
        )
        locations.append(f"s3://{BUCKET}/by-hand/{wheel}")
        client.aws("s3", "cp", str(fetched), locations[-1])
    script = textwrap.dedent(RUN_TO_ITS_END)
    assert client.run(sys.executable, "-c", script, ",".join(locations)).stdout == "SUCCEEDED\n"


def test_aws_copies_lists_and_removes_objects(client, tmp_path):
    text = tmp_path / "a b+ü.txt"
    text.write_text("some text\n")
    client.aws("s3", "cp", str(text), f"s3://{BUCKET}/notes/")
    assert client.aws("s3", "ls", f"s3://{BUCKET}/notes/").split(maxsplit=3)[2:] == ["10", "a b+ü.txt\n"]
    assert client.aws("s3", "cp", f"s3://{BUCKET}/notes/a b+ü.txt", "-") == "some text\n"
    client.aws("s3", "rm", f"s3://{BUCKET}/notes/a b+ü.txt")
    assert BUCKET in client.aws("s3", "ls")
    assert client.run("aws", "s3", "ls", f"s3://{BUCKET}/notes/", status=1).stdout == ""


def test_aws_asks_the_other_services(client):
    assert client.answer("stepfunctions", "list-state-machines") == {"stateMachines": []}
    assert client.answer("sts", "get-caller-identity")["Account"] == "111122223333"
    jobs = client.answer("glue", "get-jobs")["Jobs"]
    assert "enterprise-repo-glue-job" in {job["Name"] for job in jobs}


def test_an_operation_that_is_not_there_fails_loudly(client):
    told = client.run("aws", "codeartifact", "list-package-groups", "--domain", DOMAIN, status=255)
    assert "NotImplementedException" in told.stderr
    assert "ListPackageGroups" in told.stderr
