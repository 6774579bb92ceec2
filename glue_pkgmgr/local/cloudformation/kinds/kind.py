"""What every kind of resource has to say: how one is made, changed and removed in the stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABSENT = frozenset(
    {
        *("404", "EntityNotFoundException", "NoSuchBucket", "NoSuchEntity", "NotFoundException"),
        *("NotFound", "ResourceNotFoundException", "StateMachineDoesNotExist"),
    }
)


class Exists(Exception):
    """A resource of that name is there already; `name` is how its kind calls it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} already exists")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A resource that is to be made, or was.

    `properties` are resolved; `name` is the one they give it, else one made for it. `client` returns a boto3
    client by the name of its service.
    """

    name: str
    properties: Mapping[str, Any]
    account: str
    region: str
    partition: str
    client: Callable[[str], Any]

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """Return an ARN; `region` is empty for services without regions."""
        where = self.region if region is None else region
        return f"arn:{self.partition}:{service}:{where}:{self.account}:{resource}"

    def only(self, service: str, shape: str, **changed: Any) -> dict[str, Any]:
        """Return the properties that are members of `shape` of a service's model, with `changed` ones."""
        members = self.client(service).meta.service_model.shape_for(shape).members
        return {name: value for name, value in {**self.properties, **changed}.items() if name in members}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A resource that was made: what `Ref` of it is, and what `Fn::GetAtt` is. `note` tells what it lacks."""

    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


class Kind:
    """A type of resource. Errors of the services pass through as botocore's ClientError.

    `named_by` is the property with its name, `keeps` those that the stand-in does something with, `replacing`
    those that cannot change: another resource takes the place of one where they do. `survives` says whether such
    resources outlive the process of the stand-in.
    """

    named_by = ""
    keeps: frozenset[str] = frozenset()
    replacing: frozenset[str] = frozenset()
    lower_case = False
    longest_name = 64
    survives = False

    def identity(self, wanted: Wanted) -> str:
        """Return what tells a resource from others of its kind."""
        return wanted.name

    def physical(self, wanted: Wanted) -> str:
        """Return what `Ref` is of one that was not made by us."""
        return wanted.name

    def create(self, wanted: Wanted) -> Made:
        """Make one. Raises: Exists."""
        raise NotImplementedError

    def update(self, wanted: Wanted, physical: str) -> Made:
        """Change the one that is there to what is wanted."""
        raise NotImplementedError

    def delete(self, wanted: Wanted, physical: str) -> None:
        """Remove one; that it is not there is as good."""
        raise NotImplementedError

    def name_of(self, properties: Mapping[str, Any]) -> str | None:
        """Return the name that properties give a resource; None if they give none."""
        found = properties.get(self.named_by)
        return str(found) if found is not None else None

    def needs_replacement(self, changed: frozenset[str]) -> bool:
        """Whether another resource takes the place of one of which these properties change."""
        return bool(changed & self.replacing)

    def left_out(self, properties: Mapping[str, Any]) -> list[str]:
        """Return the properties that the stand-in does nothing with."""
        return sorted(properties.keys() - self.keeps - {"Tags", self.named_by})


@contextmanager
def exists(wanted: Wanted, *codes: str) -> Iterator[None]:
    """Turn an error with one of `codes` into `Exists`."""
    try:
        yield
    except ClientError as e:
        if e.response["Error"]["Code"] in codes:
            raise Exists(wanted.name) from e
        raise


def is_there(look: Callable[..., Any], **arguments: Any) -> bool:
    """Return whether what `look` asks for is there."""
    try:
        look(**arguments)
    except ClientError as e:
        if is_absence(e):
            return False
        raise
    return True


def is_absence(error: ClientError) -> bool:
    """Whether an error says that what was asked for is not there."""
    code = error.response["Error"]["Code"]
    return code in _ABSENT or code.endswith(".NotFound")


@contextmanager
def absent_is_fine() -> Iterator[None]:
    """Take an error that says that something is not there for a success."""
    try:
        yield
    except ClientError as e:
        if not is_absence(e):
            raise


def document(value: Any) -> str:
    """Return a policy or a pattern of a template as the text that APIs take."""
    return value if isinstance(value, str) else json.dumps(value)


def tag_map(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a resource by their keys; templates have a list of them, or a table."""
    tags = properties.get("Tags") or []
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags}


def tag_list(properties: Mapping[str, Any], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Return the tags of a resource as APIs take them, with these names for the parts."""
    return [{key: name, value: text} for name, text in tag_map(properties).items()]


def camel(value: Any) -> Any:
    """Return `value` with the keys in it as the APIs that begin them with a small letter have them."""
    match value:
        case dict():
            return {f"{key[0].lower()}{key[1:]}": camel(item) for key, item in value.items()}
        case list():
            return [camel(item) for item in value]
        case _:
            return value
