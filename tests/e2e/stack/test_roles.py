"""Every statement of a role is there for a call that our code makes, and every call is allowed by one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from glueutils.catalog import Column, GlueCatalog, PartitionedTable
from glueutils.partitions import Partition

from glue_pkgmgr import Project
from glue_pkgmgr.adapters.record_bucket import RecordBucket
from glue_pkgmgr.core.function_archive import ALLOWLIST, LOCKS, PROJECT, SETTINGS
from glue_pkgmgr.functions.launch import handler
from tests.e2e.approved_world import APPROVED, DOMAIN, World, machine_index, running_world, settings
from tests.e2e.conftest import needs_python_of_glue_5
from tests.e2e.stack.policies import Call, Role, role
from tests.e2e.stack.recorded import Recorder
from tests.e2e.workspace import until
from tests.integration.adapters.distributions import wheel as our_wheel
from tests.integration.local.made_distributions import wheel
from tests.unit.core.test_record import RECORD

pytestmark = [pytest.mark.timeout(600), needs_python_of_glue_5]

REGION, ACCOUNT = "us-east-1", "111122223333"
OLD = datetime.now(UTC) - timedelta(days=400)
BUCKET, JOB = "staging-area", "taxi-job"
LOG_GROUP = f"/aws-glue/jobs/glue-pkgmgr-encrypted-role/{JOB}"
MORE = f"""
arguments = {{ S3_BUCKET = "trips", GLUE_DATABASE = "trips_db" }}

[records]
place = "s3://{BUCKET}/audit/"
"""


@dataclass
class Office:
    """A world, and the project in it as a Python program has it."""

    world: World

    def project(self) -> Project:
        environ = self.world.stand_in.environment({**self.world.workspace.environment, **machine_index()})
        return Project.load(self.world.workspace.folder / "glue-pkgmgr.toml", environ=environ)

    def role(self, name: str) -> Role:
        return role(self.project().stack_template(), name, region=REGION, account=ACCOUNT)

    def api(self, service: str) -> Any:
        return self.world.workspace.api(service)

    def forget_staged(self) -> None:
        """Delete what launches before have staged, so that the next has to."""
        s3, staged = self.api("s3"), "glue-pkgmgr/wheels/"
        for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=staged).get("Contents", ()):
            s3.delete_object(Bucket=BUCKET, Key=one["Key"])

    def record_a_launch(self) -> None:
        """Record a launch as another machine does: what a project knows already it does not read again."""
        copy = self.world.workspace.root / "copy"
        RecordBucket(f"s3://{BUCKET}/audit/", self.api("s3"), copy).add(RECORD)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Return a world in which a bundle is approved, locked and mirrored, and a launch recorded."""
    folder = tmp_path_factory.mktemp("roles")
    policy = 'internal = ["glueutils", "made-ours"]'
    text = settings({"taxi": ["made-one"]}, job="taxi", policy=policy) + MORE
    with running_world(folder, text) as world:
        for name, version in (("made-one", "1.0"), ("made-one", "2.0"), ("made-two", "1.0")):
            world.public.add(wheel(name, version), uploaded=OLD)
        world.done("approve", "made-one==1.0", "--by", "ann", "--reason", "reviewed")
        world.done("lock")
        world.done("mirror", "sync")
        office = Office(world)
        office.record_a_launch()
        yield office


def recorded() -> Recorder:
    return Recorder(REGION, ACCOUNT, LOG_GROUP)


def check(role: Role, calls: set[Call]) -> None:
    refused = [str(call) for call in sorted(calls, key=str) if not role.allows(call)]
    assert "\n".join(["refused:", *refused, "idle:", *role.idle(calls)]) == "refused:\nidle:"


def test_a_launcher_may_do_what_launching_calls_and_nothing_else(office):
    recorder = recorded()
    with recorder.recording():
        project = office.project()
        office.api("glue").delete_job(JobName=JOB)
        run = project.launch("taxi", delivery="requirements", fix=True)  # makes the job
        assert run.wait().run.requirements_file
        project.logs(run.id)
        script = office.world.workspace.folder / "glue_jobs" / "probe.py"
        script.write_text(script.read_text() + "print('changed')\n")
        second = project.launch("taxi", delivery="wheels", fix=True, launch_id="nightly")  # changes it
        project.stop(second.id)
    check(office.role("RoleLauncher"), recorder.calls)


def test_a_function_may_do_what_a_workflow_has_it_do_and_nothing_else(office, tmp_path, monkeypatch):
    folder, archive = office.world.workspace.folder, tmp_path / PROJECT
    archive.mkdir()
    shutil.copy(folder / "glue-pkgmgr.toml", archive / SETTINGS)
    shutil.copy(folder / "allowlist.toml", archive / ALLOWLIST)
    shutil.copytree(folder / "locks", archive / LOCKS)
    for name, value in office.world.stand_in.environment({"LAMBDA_TASK_ROOT": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    office.forget_staged()
    recorder = recorded()
    with recorder.recording():
        event = {"do": "launch", "job": "taxi", "execution": "arn:of:an-execution", "attempt": 1}
        for delivery in ("requirements", "wheels"):
            event["execution"] += delivery
            told = handler({**event, "input": {"delivery": delivery}}, None)
            until(
                lambda run=told["run"]: handler({"do": "look", "job": "taxi", "run": run}, None)["ended"],
                "it ends",
            )
    # Not met here: of two runs that came of one launch, when an answer was lost, the younger is stopped.
    recorder.add("glue:BatchStopJobRun", recorder.arn("glue", f"job/{JOB}"))
    check(office.role("FunctionRole"), recorder.calls | by_lambda(recorder))


def by_lambda(recorder: Recorder) -> set[Call]:
    """Return what AWS Lambda does as the function.

    Source: AWS Lambda Developer Guide, "Giving Lambda functions access to resources in an Amazon VPC", "Visualize
    Lambda function invocations using AWS X-Ray".
    """
    made = recorded()
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        made.add(action, "<FunctionLog.Arn>")
    for action in ("xray:PutTelemetryRecords", "xray:PutTraceSegments"):
        made.add(action, "*")
    for action in ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"):
        made.add(action, "*")
    for action in ("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"):
        made.add(action, recorder.arn("ec2", "network-interface/eni-1"))
    return made.calls


def test_a_reader_may_do_what_looking_on_calls_and_nothing_else(office):
    recorder = recorded()
    with recorder.recording():
        project = office.project()
        (run, *_) = project.runs()
        project.status(run.id)
        project.logs(run.id)
        project.runs_using("made-one")
        index = project._wiring.open_index(project.mint())
        assert index.page("made-one")
    check(office.role("RoleReader"), recorder.calls)


def test_a_publisher_may_do_what_publishing_calls_and_nothing_else(office, tmp_path):
    recorder, folder = recorded(), office.world.workspace.folder / "glueutils"
    described = (
        "License: MIT\nDescription-Content-Type: text/markdown\n\nA release that is the first of its project.\n"
    )
    our_wheel(tmp_path, "made-ours", "1.0", metadata=lambda text: text + described)
    # As a package begins on AWS that is in a package group which blocks something.
    open_to_all = {"publish": "ALLOW", "upstream": "ALLOW"}
    office.api("codeartifact").put_package_origin_configuration(
        domain=DOMAIN, repository=APPROVED, format="pypi", package="made-ours", restrictions=open_to_all
    )
    with recorder.recording():
        project = office.project()
        changed = folder / "src" / "glueutils" / "__init__.py"
        changed.write_text(changed.read_text().replace("0.2.0", "0.3.0"))
        for _ in ("first", "again"):
            project.publish([folder])
        project.publish(dist=[tmp_path])
        project.withdraw("glueutils==0.3.0", by="ann", reason="a test")
        project.restore("glueutils==0.3.0")
    check(office.role("RolePublisher"), recorder.calls)


def test_a_mirror_may_do_what_locking_and_mirroring_call_and_nothing_else(office):
    recorder, file = recorded(), office.world.workspace.folder / "glue-pkgmgr.toml"
    file.write_text(file.read_text().replace('["made-one"]', '["made-one", "made-two"]'))
    office.record_a_launch()
    with recorder.recording():
        project = office.project()
        project.approve(["made-one==2.0", "made-two==1.0"], by="ann", reason="reviewed")
        project.lock(upgrade=())
        assert not project.mirror_sync().lacking
        project.mirror_prune(project.mirror_verify().extra)
    check(office.role("RoleMirror"), recorder.calls)


def test_a_job_may_register_tables_and_what_glue_and_spark_do_for_it(office):
    recorder, client = recorded(), office.api("glue")
    recorder.watch(client)
    for columns in ((Column("trips", "bigint"),), (Column("trips", "bigint"), Column("hours", "double"))):
        table = PartitionedTable(
            database="trips_db",
            name="trips",
            location="s3://trips/dataoutput",
            columns=columns,
            partition_columns=(Column("year", "int"),),
        )
        GlueCatalog(client).check(table)
        GlueCatalog(client).register(table, [Partition(("2015",))])
    project, calls = office.project(), recorder.calls | by_glue_and_spark(recorder)
    check(role(project.stack_template(), "RoleTaxiJob", region=REGION, account=ACCOUNT), calls)


def by_glue_and_spark(recorder: Recorder) -> set[Call]:
    """Return what a stand-in does not show: calls of AWS Glue itself and of Spark, as the job.

    Source: AWS Glue Developer Guide, "Create an IAM policy for the AWS Glue service", "Logging for AWS Glue jobs",
    "Encrypting data written by AWS Glue"; Hadoop, "S3A: permissions".
    """
    made, data, staged = recorded(), "arn:aws:s3:::trips", f"arn:aws:s3:::{BUCKET}/glue-pkgmgr"
    for kind in ("scripts", "wheels", "requirements"):
        made.add("s3:GetObject", f"{staged}/{kind}/file")
    for action in ("s3:ListBucket", "s3:GetBucketLocation"):
        made.add(action, data)
    for action in ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload"):
        made.add(f"s3:{action}", f"{data}/dataoutput/part")
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        made.add(action, "<Key.Arn>", {"kms:ViaService": f"s3.{REGION}.amazonaws.com"})
    for action in ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"):
        made.add(action, "<Key.Arn>")
    group = recorder.arn("logs", f"log-group:{LOG_GROUP}/output:log-stream:jr_1")
    for action in ("AssociateKmsKey", "CreateLogGroup", "CreateLogStream", "PutLogEvents"):
        made.add(f"logs:{action}", group)
    made.add("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "Glue"})
    for place in ("catalog", "connection/glue-pkgmgr-network-1", "connection/glue-pkgmgr-network-2"):
        made.add("glue:GetConnection", recorder.arn("glue", place))
    made.add("glue:GetSecurityConfiguration", "*")
    for what in ("NetworkInterfaces", "RouteTables", "SecurityGroups", "Subnets", "VpcAttribute", "VpcEndpoints"):
        made.add(f"ec2:Describe{what}", "*")
    interface = recorder.arn("ec2", "network-interface/eni-1")
    for place in ("subnet/<SubnetA>", "subnet/<SubnetB>", "security-group/<JobSecurityGroup.GroupId>"):
        made.add("ec2:CreateNetworkInterface", recorder.arn("ec2", place))
    for action in ("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"):
        made.add(action, interface)
    made.add("ec2:CreateTags", interface, {"aws:TagKeys": "aws-glue-service-resource"})
    return made.calls


def test_a_job_may_not_write_what_is_staged_or_recorded(office):
    held = office.role("RoleTaxiJob")
    for place in ("glue-pkgmgr/wheels/w.whl", "glue-pkgmgr/scripts/s.py", "audit/launches/000000000001.json"):
        for action in ("s3:PutObject", "s3:DeleteObject"):
            assert not held.allows(Call(action, f"arn:aws:s3:::{BUCKET}/{place}"))


@pytest.mark.parametrize("name", ["RolePublisher", "RoleMirror", "RoleLauncher", "RoleReader"])
def test_no_role_gives_another_role_away_or_a_token_of_another_service(office, name):
    held = office.role(name)
    to_lambda = {"iam:PassedToService": "lambda.amazonaws.com"}
    assert not held.allows(Call("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{JOB}", to_lambda))
    assert not held.allows(Call("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin"))
    assert not held.allows(
        Call("sts:GetServiceBearerToken", "*", {"sts:AWSServiceName": "ecr-public.amazonaws.com"})
    )


@pytest.mark.parametrize("name", ["RoleLauncher", "RoleReader", "RolePublisher"])
def test_only_the_mirror_reads_the_store(office, name):
    held = office.role(name)
    read = "codeartifact:ReadFromRepository"
    store = f"arn:aws:codeartifact:{REGION}:{ACCOUNT}:repository/enterprise-repo-domain/pypi-store"
    assert not held.allows(Call(read, store))
    assert office.role("RoleMirror").allows(Call(read, store))
