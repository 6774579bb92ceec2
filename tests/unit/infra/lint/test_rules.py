"""Each rule finds what it is for, and nothing in what is right."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.lint.registry import RULES, judge, suppression
from glue_pkgmgr.infra.lint.rule import Asked, Level
from glue_pkgmgr.infra.lint.rules.installs import unpinned
from glue_pkgmgr.infra.lint.rules.versions import ENDED
from glue_pkgmgr.infra.lint.source import parse, view_of
from glue_pkgmgr.infra.lint.view import together

_KINDS = [
    "AWS::Glue::Job",
    "AWS::Glue::Connection",
    "AWS::IAM::Role",
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::S3::BucketPolicy",
    "AWS::CodeArtifact::Domain",
    "AWS::CodeArtifact::Repository",
    "AWS::CodeArtifact::PackageGroup",
    "AWS::EC2::VPCEndpoint",
    "AWS::Lambda::Function",
    "AWS::Serverless::Function",
    "AWS::StepFunctions::StateMachine",
]
_KEYS = [
    *("Command", "Connections", "DefaultArguments", "GlueVersion", "ConnectionInput", "ConnectionProperties"),
    *("Policies", "PolicyDocument", "Statement", "Action", "NotAction", "Resource", "Condition", "StringEquals"),
    *("Roles", "ManagedPolicyArns", "ExternalConnections", "Upstreams", "OriginConfiguration", "Restrictions"),
    *("Environment", "Variables", "Definition", "DefinitionString", "States", "Parameters", "Name", "Value"),
    *("Ref", "Fn::Sub", "Fn::If", "Fn::Join", "Fn::Transform", "glue-pkgmgr", "rules_to_suppress", "id", "NoEcho"),
    *("PermissionsPolicyDocument", "Properties", "Type", "Default", "--additional-python-modules", "R0"),
]


def test_every_rule_finds_something_in_the_open_template(judged, template):
    report = judged(template("open.yaml"))
    assert {one.rule.id for one in report.findings} == {rule.id for rule in RULES}
    assert not report.clean


def test_no_finding_quotes_a_secret(judged, template):
    report = judged(template("open.yaml"))
    for secret in ("hunter2", "a-token-in-clear", "correct-horse"):
        assert secret in template("open.yaml")
        assert not any(secret in f"{one.told}{one.place}" for one in report.findings)


def test_no_rule_finds_anything_in_the_closed_template(judged, template):
    report = judged(template("closed.yaml"), internal=["glueutils"])
    assert report.findings == ()
    assert [one.suppressed.reason for one in report.suppressed] == [
        "it lists the buckets of the account for the console"
    ]


def test_every_rule_says_why_and_what_to_do():
    assert len({rule.id for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.title
        assert rule.reason.endswith(".")
        assert rule.fix.endswith(".")


# --- the pieces that templates below are made of


def stack(**resources):
    lines = ["Resources:"]
    for name, (kind, properties) in resources.items():
        lines += [f"  {name}:", f"    Type: {kind}", f"    Properties: {properties}"]
    return "\n".join(lines)


def job(properties, name="Job"):
    return stack(**{name: ("AWS::Glue::Job", properties)})


def arguments(text):
    return job(f"{{GlueVersion: '5.1', Command: {{Name: glueetl}}, DefaultArguments: {text}}}")


def role(*statements):
    return stack(
        Role=("AWS::IAM::Role", f"{{Policies: [{{PolicyDocument: {{Statement: [{', '.join(statements)}]}}}}]}}")
    )


# --- secrets


@pytest.mark.parametrize(
    "value",
    [
        "{--db_password: hunter2}",
        "{--api-key: abc}",
        "{--url: 'https://aws:token@host/simple/'}",
        "{--url: !Sub 'https://aws:${Token}@host/simple/'}",
        "{--k: AKIAABCDEFGHIJKLMNOP}",
        "{--x: '{{resolve:secretsmanager:db:SecretString:password}}'}",
        "{--x: !If [C, ok, 'https://aws:token@host/']}",
        "!If [C, {--x: 'https://aws:token@host/'}, {}]",
        "{--x: !Join ['', ['https://aws:', 'token', '@host/']]}",
    ],
)
def test_a_secret_in_arguments(found, value):
    assert found(arguments(value)) == ["GPK101 Job"]


@pytest.mark.parametrize(
    "value",
    [
        "{--db_secret: !Ref Secret}",
        "{--db_secret: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:db'}",
        "{--url: 'https://host/simple/'}",
        "{--password_column: pw}",
        "{--token: !GetAtt Secret.Arn}",
        "{--x: !Ref AWS::NoValue}",
    ],
)
def test_where_a_secret_lies_is_none(found, value):
    assert found(arguments(value)) == []


def test_a_hidden_parameter_stands_in_clear_in_arguments_and_environments(found):
    text = (
        arguments("{--x: !Ref P}")
        + """
  Function:
    Type: AWS::Lambda::Function
    Properties: {Environment: {Variables: {X: !Ref P}}}
  Connection:
    Type: AWS::Glue::Connection
    Properties: {ConnectionInput: {ConnectionProperties: {PASSWORD: !Ref P}}}
Parameters: {P: {Type: String, NoEcho: true}}
"""
    )
    assert found(text) == ["GPK101 Job", "GPK102 Function"]


def test_a_secret_anywhere_in_a_template(found):
    text = stack(
        Build=(
            "AWS::CodeBuild::Project",
            "{Source: {BuildSpec: 'pip install -i https://aws:abc@host/simple/ x'}}",
        ),
        Connection=("AWS::Glue::Connection", "{ConnectionInput: {ConnectionProperties: {PASSWORD: abc}}}"),
        Function=("AWS::Lambda::Function", "{Environment: {Variables: {API_TOKEN: abc}}}"),
        Machine=("AWS::StepFunctions::StateMachine", '{DefinitionString: \'{"x": "https://aws:abc@host/"}\'}'),
    )
    assert found(text) == ["GPK102 Build", "GPK102 Connection", "GPK102 Function", "GPK102 Machine"]


def test_a_trigger_and_a_workflow_give_arguments_too(found):
    text = stack(
        Trigger=("AWS::Glue::Trigger", "{Actions: [{JobName: j, Arguments: {--api-key: abc, --x: !Ref P}}]}"),
        Machine=(
            "AWS::StepFunctions::StateMachine",
            "{Definition: {States: {A: {Resource: 'arn:aws:states:::glue:startJobRun.sync', "
            "Parameters: {Arguments: {--password: abc, --token.$: $.x, --secret: '{% $x %}'}}}}}}",
        ),
    )
    assert found(f"{text}\nParameters: {{P: {{NoEcho: true}}}}") == [
        "GPK101 Trigger",
        "GPK101 Trigger",
        "GPK101 Machine",
    ]


@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("jdbc:redshift://host/db?user=a&password=abc", ["GPK102 C"]),
        ("jdbc:redshift://host/db?user=a&password=${P}", []),
        ("jdbc:redshift://host/db?user=a", []),
    ],
)
def test_a_password_in_a_connection_text(found, url, rules):
    properties = f"{{ConnectionInput: {{ConnectionProperties: {{JDBC_CONNECTION_URL: '{url}'}}}}}}"
    assert found(stack(C=("AWS::Glue::Connection", properties))) == rules


# --- workflows


def machine(states):
    return stack(Machine=("AWS::StepFunctions::StateMachine", f"{{Definition: {{States: {states}}}}}"))


@pytest.mark.parametrize(
    "states",
    [
        "{A: {Resource: 'arn:aws:states:::aws-sdk:codeartifact:getAuthorizationToken'}}",
        "{A: {Resource: 'arn:aws:states:::aws-sdk:secretsmanager:getSecretValue'}}",
        "{A: {Resource: !Sub 'arn:${AWS::Partition}:states:::aws-sdk:codeartifact:getAuthorizationToken'}}",
        "{A: {Branches: [{States: {B: {Parameters: {x.$: $.t.AuthorizationToken}}}}]}}",
        "{A: {ItemProcessor: {States: {B: {Assign: {x: '{% $states.result.AuthorizationToken %}'}}}}}}",
        "{A: {Parameters: {x.$: \"States.Format('https://aws:{}@host/', $.t)\"}}}",
    ],
)
def test_a_token_through_states(found, states):
    assert found(machine(states)) == ["GPK103 Machine"]


def test_a_definition_as_the_cdk_writes_it(found):
    parts = ['{"States":{"A":{"Resource":"arn:', {"Ref": "AWS::Partition"}]
    parts += [
        ':states:::aws-sdk:codeartifact:getAuthorizationToken","Parameters":{"Domain":"',
        {"Ref": "D"},
        '"}}}}',
    ]
    properties = json.dumps({"DefinitionString": {"Fn::Join": ["", parts]}})
    assert found(stack(Machine=("AWS::StepFunctions::StateMachine", properties))) == ["GPK103 Machine"]


def test_a_definition_that_is_no_json_before_it_is_filled_in(found):
    call = "arn:aws:states:::aws-sdk:codeartifact:getAuthorizationToken"
    half = f'{{DefinitionString: !Sub \'{{"Resource": "{call}", ${{X}}\'}}'
    text = stack(Machine=("AWS::StepFunctions::StateMachine", half))
    assert found(text) == ["GPK103 Machine"]


def test_a_workflow_that_starts_a_function_is_fine(found):
    assert found(machine("{A: {Resource: 'arn:aws:states:::lambda:invoke', Parameters: {x.$: $.x}}}")) == []


# --- what is installed


@pytest.mark.parametrize(
    "text",
    [
        arguments("{--python-modules-installer-option: --extra-index-url=https://host/simple/}"),
        arguments("{--additional-python-modules: 'x==1 --extra-index-url https://host/'}"),
        stack(Job=("AWS::Lambda::Function", "{Environment: {Variables: {PIP_EXTRA_INDEX_URL: https://host/}}}")),
        stack(
            Job=(
                "AWS::CodeBuild::Project",
                "{Environment: {EnvironmentVariables: [{Name: UV_EXTRA_INDEX_URL, Value: https://host/}]}}",
            )
        ),
        stack(Job=("AWS::MWAA::Environment", "{X: !Join [' ', [pip, install, --extra-index-url, !Ref Url]]}")),
    ],
)
def test_a_second_index(found, text):
    assert found(text) == ["GPK201 Job"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("boto3", ["boto3 without an exact version"]),
        ("boto3>=1,<2,six==1.17.0", ["boto3<2,>=1 without an exact version"]),
        ("six==1.*", ["six==1.* without an exact version"]),
        ("x[a,b]==1,y~=2.0", ["y~=2.0 without an exact version"]),
        ("six==1.17.0, requests===2", []),
        ("s3://b/x-1.0-py3-none-any.whl,s3://b/gluewheels.zip,-r s3://b/requirements.txt", []),
        ("${Modules}", []),
        ("", []),
        ("git+https://host/x.git", ["from a version control system, without a pinned release"]),
        ("x @ https://user:secret@host/x.whl", ["x from a URL, without a pinned release"]),
        ("pandas==2.0 -i https://host/simple/", []),
        (" " * 100_000 + "six", ["six without an exact version"]),
        ("/\\;", ["what is no requirement"]),
    ],
)
def test_what_is_pinned(text, told):
    assert list(unpinned(text)) == told


# --- permissions

_TOKEN = "{Effect: Allow, Action: 'codeartifact:GetAuthorizationToken', Resource: !GetAtt Domain.Arn}"
_CONDITION = "Condition: {StringEquals: {'sts:AWSServiceName': codeartifact.amazonaws.com}}"


def bearer(rest):
    return f"{{Effect: Allow, Action: 'sts:GetServiceBearerToken', Resource: '*', {rest}}}"


def test_a_token_needs_its_bearer(found):
    assert found(role(_TOKEN)) == ["GPK301 Role"]
    assert found(role(_TOKEN, bearer("Sid: x"))) == ["GPK302 Role"]
    assert found(role(_TOKEN, bearer(_CONDITION))) == []


def test_a_condition_that_excepts_is_none(found):
    excepting = "Condition: {StringNotEquals: {'sts:AWSServiceName': codeartifact.amazonaws.com}}"
    assert found(role(bearer(excepting))) == ["GPK302 Role"]


def test_what_a_role_has_by_another_policy_counts(found):
    text = (
        role(_TOKEN)
        + f"""
  Attached:
    Type: AWS::IAM::ManagedPolicy
    Properties: {{Roles: [!Ref Role], PolicyDocument: {{Statement: {bearer(_CONDITION)}}}}}
"""
    )
    assert found(text) == []


def test_the_policy_of_a_domain_is_no_policy_of_a_role(found):
    text = stack(Domain=("AWS::CodeArtifact::Domain", f"{{PermissionsPolicyDocument: {{Statement: [{_TOKEN}]}}}}"))
    assert found(text) == ["GPK402 Domain"]


@pytest.mark.parametrize(
    ("statement", "rules"),
    [
        ("Action: 's3:*', Resource: 'arn:aws:s3:::b'", ["GPK304"]),
        ("Action: 's3:Put*', Resource: 'arn:aws:s3:::b/*'", ["GPK304"]),
        ("Action: ['s3:GetObject*', 's3:List*'], Resource: ['arn:aws:s3:::b/*', 'arn:aws:s3:::b']", []),
        ("Action: 's3:GetObject', Resource: !Sub 'arn:${AWS::Partition}:s3:::*'", ["GPK304"]),
        ("Action: 's3:GetObject', Resource: 'arn:aws:s3:::*/*'", ["GPK304"]),
        ("Action: 's3:ListAllMyBuckets', Resource: '*'", []),
        ("Action: 'S3:*', Resource: 'arn:aws:s3:::b'", ["GPK304"]),
        ("Action: 'codeartifact:Publish*', Resource: 'arn:aws:codeartifact:r:1:repository/d/r'", ["GPK303"]),
        ("Action: 'codeartifact:ReadFromRepository', Resource: '*'", ["GPK303"]),
        (
            "Action: 'codeartifact:ReadFromRepository', Resource: 'arn:aws:codeartifact:*:*:repository/*/*'",
            ["GPK303"],
        ),
        ("Action: 'codeartifact:Describe*', Resource: 'arn:aws:codeartifact:r:1:repository/d/r'", []),
        ("Action: 'codeartifact:ListRepositories', Resource: '*'", []),
        ("Action: 'iam:PassRole', Resource: 'arn:aws:iam::1:role/*'", ["GPK305"]),
        ("Action: 'iam:P*', Resource: '*'", ["GPK305"]),
        ("Action: 'iam:PassRole', Resource: 'arn:aws:iam::1:role/glue/*'", []),
        ("Action: 'iam:PassRole', NotResource: 'arn:aws:iam::1:role/x'", ["GPK305"]),
        ("NotAction: 'iam:*', Resource: '*'", ["GPK303", "GPK304"]),
        ("Action: '*', Resource: '*'", ["GPK303", "GPK304", "GPK305"]),
        ("Action: '" + "*" * 200 + "', Resource: '*'", ["GPK303", "GPK304", "GPK305"]),
        ("Action: !If [C, 's3:*', 's3:GetObject'], Resource: 'arn:aws:s3:::b'", ["GPK304"]),
    ],
)
def test_what_is_too_wide(found, statement, rules):
    assert found(role(f"{{Effect: Allow, {statement}}}")) == [f"{rule} Role" for rule in rules]
    assert found(role(f"{{Effect: Deny, {statement}}}")) == []


def test_a_policy_of_aws_may_be_too_wide(found):
    text = stack(Role=("AWS::IAM::Role", "{ManagedPolicyArns: ['arn:aws:iam::aws:policy/AmazonS3FullAccess']}"))
    assert found(text) == ["GPK304 Role"]


def test_a_policy_of_aws_may_have_the_bearer(found):
    text = role(_TOKEN).replace(
        "{Policies", "{ManagedPolicyArns: ['arn:aws:iam::aws:policy/AWSCodeArtifactReadOnlyAccess'], Policies"
    )
    assert found(text) == []


# --- repositories


def repositories(**properties):
    kind = "AWS::CodeArtifact::Repository"
    blocked = "{Restrictions: {ExternalUpstream: {RestrictionMode: BLOCK}}}"
    group = f"{{Pattern: '/pypi//ours~', OriginConfiguration: {blocked}}}"
    made = {name: (kind, text) for name, text in properties.items()}
    return stack(**made, Group=("AWS::CodeArtifact::PackageGroup", group))


def test_a_public_index_is_found_through_upstreams(found):
    text = repositories(
        A="{RepositoryName: a, Upstreams: [b]}",
        B="{RepositoryName: b, Upstreams: [!GetAtt C.Name, !Ref A]}",
        C="{RepositoryName: c, ExternalConnections: ['public:pypi']}",
    )
    assert found(text) == ["GPK401 A", "GPK401 B"]


def test_a_store_beside_is_fine_unless_jobs_install_from_it(found):
    store = "{RepositoryName: store, ExternalConnections: ['public:pypi']}"
    text = repositories(Store=store, Approved="{RepositoryName: approved}")
    assert found(text) == []
    install = "  Job: {Type: X, Properties: {Url: 'https://d.codeartifact.r.amazonaws.com/pypi/store/simple/'}}"
    assert found(f"{text}\n{install}") == ["GPK401 Store"]
    assert found(repositories(Store=store)) == ["GPK401 Store"]


def test_upstreams_in_a_circle_end(found):
    text = repositories(A="{RepositoryName: a, Upstreams: [b]}", B="{RepositoryName: b, Upstreams: [a]}")
    assert found(text) == []


def test_internal_names_need_a_group_that_blocks(found):
    text = repositories(A="{RepositoryName: a}")
    assert found(text, internal=["ours", "ours-too"]) == []
    assert found(text, internal=["oursels"]) == ["GPK402 Group"]


# --- network


def network(*services, extra=""):
    made = {f"E{n}": ("AWS::EC2::VPCEndpoint", f"{{ServiceName: {one}}}") for n, one in enumerate(services)}
    text = stack(
        Vpc=("AWS::EC2::VPC", "{}"),
        Connection=("AWS::Glue::Connection", "{ConnectionInput: {Name: c, ConnectionType: NETWORK}}"),
        Job=("AWS::Glue::Job", "{GlueVersion: '5.1', Connections: {Connections: [c]}}"),
        **made,
    )
    return f"{text}\n{extra}"


def test_endpoints_are_needed_where_a_job_is_in_a_network(judged):
    report = judged(network("com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.glue"))
    assert [(one.rule.id, one.told) for one in report.findings] == [
        ("GPK501", "no VPC endpoint for logs: jobs have no way to the job's log")
    ]


def test_endpoints_of_another_stack_count(found):
    other = stack(E=("AWS::EC2::VPCEndpoint", "{ServiceName: cn.com.amazonaws.cn-north-1.logs}"))
    assert found(network("com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.glue"), other) == []


def test_a_network_with_a_way_out_is_only_noted(judged):
    report = judged(network(extra="  Nat: {Type: AWS::EC2::NatGateway}"))
    assert {one.level for one in report.findings} == {Level.NOTE}
    assert report.clean


def test_an_endpoint_that_is_not_known_may_be_any(found):
    assert found(network("!Ref Service")) == []


def test_a_network_that_is_made_elsewhere_is_not_judged(found):
    assert found(network().replace("AWS::EC2::VPC", "X")) == []


# --- versions


def test_the_end_of_a_version_is_told_before_and_after(judged):
    text = job("{GlueVersion: 2.0, Command: {Name: glueetl}}")
    end = ENDED["2.0"]
    assert judged(text, today=date(2025, 1, 1)).findings == ()
    [before] = judged(text, today=date(2026, 3, 30)).findings
    assert (before.level, before.told) == (
        Level.WARNING,
        f"Glue 2.0 starts no runs from {end} on, 2 days from now",
    )
    [after] = judged(text, today=end).findings
    assert (after.level, after.told) == (Level.ERROR, f"Glue 2.0 starts no runs since {end}")


@pytest.mark.parametrize(
    ("properties", "rules"),
    [
        ("{GlueVersion: 5.10}", []),
        ("{GlueVersion: '5.1'}", []),
        ("{GlueVersion: auto}", ["GPK602"]),
        ("{}", ["GPK602"]),
        ("{GlueVersion: !Ref Unknown}", []),
        ("{GlueVersion: '1.0', Command: {Name: pythonshell, PythonVersion: '3.9'}}", []),
        ("{Command: {Name: pythonshell, PythonVersion: 3.6}}", ["GPK601"]),
    ],
)
def test_versions(found, properties, rules):
    assert found(job(properties)) == [f"{rule} Job" for rule in rules]


# --- suppressions


def suppressed(told):
    return arguments("{--api-key: abc}") + f"\n    Metadata: {{glue-pkgmgr: {{rules_to_suppress: {told}}}}}"


def test_a_suppression_needs_a_rule_and_a_reason(judged, found):
    report = judged(suppressed("[{id: GPK101, reason: a key of a public sandbox}]"))
    assert (report.findings, len(report.suppressed), report.clean) == ((), 1, True)
    assert found(suppressed("[{id: GPK101}]")) == ["GPK101 Job", "GPK001 Job"]
    assert found(suppressed("[{id: GPK999, reason: x}]")) == ["GPK101 Job", "GPK001 Job"]
    assert found(suppressed("nonsense")) == ["GPK101 Job", "GPK001 Job"]


def test_a_suppression_that_suppresses_nothing_is_noted(judged):
    text = suppressed("[{id: GPK101, reason: x}, {id: GPK304, reason: y}]")
    [one] = judged(text).findings
    assert (one.told, one.level) == ("GPK304 is suppressed, but finds nothing here", Level.NOTE)


def test_a_suppression_on_the_command_line(judged):
    text = arguments("{--api-key: abc}")
    assert judged(text, suppressions=[suppression("GPK101=why")]).findings == ()
    assert judged(text, suppressions=[suppression("GPK101@Job=why")]).findings == ()
    assert len(judged(text, suppressions=[suppression("GPK101@Other=why")]).findings) == 2
    for wrong in ("GPK101", "GPK101=", "GPK9=x", ""):
        with pytest.raises(SettingsError):
            suppression(wrong)


def test_a_loop_of_resources_is_looked_into(found):
    text = """
Resources:
  Fn::ForEach::Jobs:
    - Name
    - [a, b]
    - Job${Name}: {Type: AWS::Glue::Job, Properties: {GlueVersion: '2.0'}}
"""
    assert found(text) == ["GPK601 Job${Name}"]


# --- whatever shape a template has

_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(["", "x", "*", "Allow", "glue:*", "public:pypi", "${A}", "Resource"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(_KINDS), _ANYTHING, max_size=6), _ANYTHING, _ANYTHING)
def test_any_shape_is_judged(resources, parameters, metadata):
    declared = {f"R{n}": {"Type": kind, "Properties": one} for n, (kind, one) in enumerate(resources.items())}
    declared["Odd"] = metadata
    text = json.dumps(
        {"Resources": declared, "Parameters": parameters, "Metadata": metadata, "Mappings": parameters}
    )
    view = view_of(parse(text, "t.json"), "t.json")
    assert judge(together([view, view]), Asked(today=date(2026, 11, 24))) is not None
