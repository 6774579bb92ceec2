"""Why a stack could not be changed, as people are told it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from glue_pkgmgr.core.denied import denied
from glue_pkgmgr.core.stack_change import Condition, Stack, StackEvent, notes
from glue_pkgmgr.core.stack_failure import Kind, explained, failures, first_failure

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DENIED = (
    'Resource handler returned message: "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: '
    "iam:CreateRole on resource: arn:aws:iam::111122223333:role/job because no identity-based policy allows the "
    'iam:CreateRole action (Service: Iam, Status Code: 403, Request ID: 1a (SDK Attempt Count: 1))" '
    "(RequestToken: 2b, HandlerErrorCode: AccessDenied)"
)


def event(logical: str, status: str, reason: str = "", **more: object) -> StackEvent:
    members: dict[str, object] = {"type": "AWS::S3::Bucket", "physical_id": f"the-{logical}", **more}
    return StackEvent(id=f"{logical}{status}", at=NOW, logical_id=logical, status=status, reason=reason, **members)  # type: ignore[arg-type]


def handled(message: str, code: str) -> str:
    return f'Resource handler returned message: "{message}" (RequestToken: x, HandlerErrorCode: {code})'


@pytest.mark.parametrize(
    ("reason", "kind", "message"),
    [
        (
            handled("b already exists (Service: S3, Status Code: 409)", "AlreadyExists"),
            Kind.EXISTS,
            "b already exists",
        ),
        (
            "b already exists in stack arn:aws:cloudformation:x",
            Kind.EXISTS,
            "b already exists in stack arn:aws:cloudformation:x",
        ),
        (
            handled("The maximum number of VPCs has been reached.", "ServiceLimitExceeded"),
            Kind.LIMIT,
            "The maximum number of VPCs has been reached",
        ),
        (
            "The maximum number of VPCs has been reached. (Service: AmazonEC2; Status Code: 400)",
            Kind.LIMIT,
            "The maximum number of VPCs has been reached",
        ),
        (
            "The bucket you tried to delete is not empty (Service: S3)",
            Kind.NOT_EMPTY,
            "The bucket you tried to delete is not empty",
        ),
        (handled("Invalid\n request", "InvalidRequest"), Kind.OTHER, "Invalid request"),
        (
            handled("The CIDR '10.0.0.0/8' is invalid. (Service: Ec2, Status Code: 400)", "InvalidRequest"),
            Kind.OTHER,
            "The CIDR '10.0.0.0/8' is invalid",
        ),
        ("", Kind.OTHER, "no reason given"),
        ("API: s3:PutBucketPolicy Access Denied", Kind.DENIED, "API: s3:PutBucketPolicy Access Denied"),
        (
            "You are not authorized to perform this operation. Encoded authorization failure message: abc",
            Kind.DENIED,
            "You are not authorized to perform this operation. Encoded authorization failure message: abc",
        ),
    ],
)
def test_the_reason_of_an_event_is_told_without_noise_and_by_its_kind(
    reason: str, kind: Kind, message: str
) -> None:
    found = explained(event("B", "CREATE_FAILED", reason))
    assert (found.kind, found.message) == (kind, message)


def test_a_missing_permission_is_told_with_the_statement_to_add() -> None:
    found = explained(event("Role", "CREATE_FAILED", DENIED, type="AWS::IAM::Role", physical_id=None))
    assert found.kind is Kind.DENIED
    assert "Request ID" not in found.sentence
    assert found.sentence.endswith(
        'needs the statement {"Effect": "Allow", "Action": "iam:CreateRole", "Resource": '
        '"arn:aws:iam::111122223333:role/job"}'
    )


def test_a_permission_that_was_not_named_with_its_resource_is_about_the_resource_of_the_event() -> None:
    found = explained(event("B", "CREATE_FAILED", "API: s3:PutBucketPolicy Access Denied"))
    assert '"Resource": "the-B"' in found.advice


@pytest.mark.parametrize(
    ("because", "told"),
    [
        ("with an explicit deny in a service control policy", "service control policy"),
        ("because no permissions boundary allows the s3:GetObject action", "permissions boundary"),
        ("with an explicit deny in an identity-based policy", "explicitly"),
    ],
)
def test_where_another_policy_denies_no_statement_is_advised(because: str, told: str) -> None:
    found = denied(f"User: x is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::b/k {because}")
    assert found is not None
    assert (found.action, found.resource) == ("s3:GetObject", "arn:aws:s3:::b/k")
    assert told in found.advice
    assert "statement" not in found.advice


def test_a_text_about_something_else_names_no_permission() -> None:
    assert denied("The stand-in was told to answer so") is None


def test_the_first_cause_counts_not_what_was_given_up_for_it() -> None:
    events = [
        event("A", "CREATE_IN_PROGRESS"),
        event("B", "CREATE_FAILED", "Resource creation cancelled"),
        event("C", "CREATE_FAILED", "C already exists"),
        event("D", "CREATE_FAILED", "other"),
        event("stack", "ROLLBACK_IN_PROGRESS", "failed to create: [B, C, D]", of_stack=True),
    ]
    found = first_failure(events)
    assert found is not None
    assert found.event.logical_id == "C"
    assert first_failure(events[:1]) is None


def test_each_resource_that_could_not_be_removed_is_told_once() -> None:
    events = [
        event("A", "DELETE_FAILED", "not empty"),
        event("B", "DELETE_FAILED", "in use"),
        event("A", "DELETE_IN_PROGRESS"),
        event("A", "DELETE_COMPLETE"),
        event("stack", "DELETE_FAILED", "failed to delete: [B]", of_stack=True),
    ]
    assert [one.event.logical_id for one in failures(events)] == ["B"]


def test_notes_are_what_is_told_of_resources_that_are_well() -> None:
    events = (
        event("A", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
        event("A", "CREATE_COMPLETE", "skipped"),
        event("B", "CREATE_COMPLETE"),
        event("C", "CREATE_FAILED", "no"),
    )
    assert [(one.logical_id, one.text) for one in notes(events)] == [("A", "skipped")]


@pytest.mark.parametrize(
    ("status", "condition", "busy", "deployed"),
    [
        ("CREATE_COMPLETE", Condition.READY, False, True),
        ("UPDATE_ROLLBACK_COMPLETE", Condition.READY, False, False),
        ("ROLLBACK_COMPLETE", Condition.NEVER_MADE, False, False),
        ("UPDATE_ROLLBACK_FAILED", Condition.HALF_ROLLED_BACK, False, False),
        ("REVIEW_IN_PROGRESS", Condition.EMPTY, False, False),
        ("DELETE_COMPLETE", Condition.GONE, False, False),
        ("DELETE_FAILED", Condition.LEFT_OVER, False, False),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Condition.BUSY, True, False),
        ("NEWLY_INVENTED_IN_PROGRESS", None, True, False),
        ("NEWLY_INVENTED", None, False, False),
    ],
)
def test_a_status_says_what_can_be_done(
    status: str, condition: Condition | None, busy: bool, deployed: bool
) -> None:
    stack = Stack(name="s", id="i", status=status)
    assert (stack.condition, stack.busy, stack.deployed) == (condition, busy, deployed)


def test_every_status_of_the_api_is_known() -> None:
    from botocore.loaders import Loader

    model = Loader().load_service_model("cloudformation", "service-2")
    for status in model["shapes"]["StackStatus"]["enum"]:
        assert Stack(name="s", id="i", status=status).condition is not None, status
