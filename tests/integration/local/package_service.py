"""The CodeArtifact stand-in, running on loopback in this process, with clients to talk to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import OperationModel

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.local.codeartifact.app import create_app
from glue_pkgmgr.local.packages.store import PackageStore
from glue_pkgmgr.local.packages.tokens import TokenBook
from tests.integration.local.upstream_index import UpstreamIndex, serving

ACCOUNT = "111122223333"
REGION = "us-east-1"
DOMAIN = "data-platform"  # has a '-', as the endpoint's path joins domain and owner by one
NOWHERE = IndexSource(url="http://127.0.0.1:9/simple/")

_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "timestamp": (int, float),
    "integer": int,
    "long": int,
    "boolean": bool,
    "list": list,
    "map": dict,
    "structure": dict,
}


@dataclass
class Service:
    """A running stand-in. Every answer to `client` is compared with botocore's model of it."""

    folder: Path
    url: str = ""
    source: IndexSource | None = NOWHERE
    passed: timedelta = timedelta(0)
    operations: set[str] = field(default_factory=set)
    endpoints: dict[str, str] = field(default_factory=dict)

    def upstream(self) -> IndexSource:
        if self.source is None:
            raise SettingsError("pip is configured to use no index")
        return self.source

    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed

    @cached_property
    def client(self) -> Any:
        client = boto3.client(
            "codeartifact",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 0}, read_timeout=60),
        )
        client.meta.events.register("after-call.codeartifact", self._check_shape)
        return client

    def _check_shape(self, model: OperationModel, http_response: Any, **_: Any) -> None:
        if http_response.status_code < 300 and model.output_shape and not model.has_streaming_output:
            self.operations.add(model.name)
            assert_shape(model.name, model.output_shape, json.loads(http_response.content))

    def token(self) -> str:
        return str(self.client.get_authorization_token(domain=DOMAIN)["authorizationToken"])

    def endpoint(self, repository: str) -> str:
        if repository not in self.endpoints:
            told = self.client.get_repository_endpoint(domain=DOMAIN, repository=repository, format="pypi")
            self.endpoints[repository] = told["repositoryEndpoint"]
        return self.endpoints[repository]

    def index_url(self, repository: str, token: str | None = None) -> str:
        parts = urlsplit(self.endpoint(repository))
        secret = quote(token or self.token(), safe="")
        return urlunsplit(parts._replace(netloc=f"aws:{secret}@{parts.netloc}", path=f"{parts.path}simple/"))

    def get(self, repository: str, path: str, **options: Any) -> requests.Response:
        """Fetch `path` below the endpoint of `repository` with a new token."""
        return requests.get(self.endpoint(repository) + path, auth=("aws", self.token()), timeout=60, **options)

    def upload(
        self, repository: str, made: tuple[str, bytes], *, token: str | None = None, **fields: str
    ) -> requests.Response:
        """Send the upload form as twine does."""
        filename, content = made
        name, _, rest = filename.partition("-")
        version = rest.removesuffix(".tar.gz").partition("-")[0]
        form = {":action": "file_upload", "protocol_version": "1", "name": name, "version": version} | fields
        return requests.post(
            self.endpoint(repository),
            data=form,
            files={"content": (filename, content, "application/octet-stream")},
            auth=("aws", token or self.token()),
            timeout=60,
        )

    def usual_repositories(self, upstream: UpstreamIndex | None = None) -> None:
        """Make `pypi-store` with the external connection, `open` above it, and `approved` alone."""
        if upstream is not None:
            self.source = upstream.source
        client = self.client
        client.create_domain(domain=DOMAIN)
        client.create_repository(domain=DOMAIN, repository="pypi-store")
        client.associate_external_connection(
            domain=DOMAIN, repository="pypi-store", externalConnection="public:pypi"
        )
        upstreams = [{"repositoryName": "pypi-store"}]
        client.create_repository(domain=DOMAIN, repository="open", upstreams=upstreams)
        client.create_repository(domain=DOMAIN, repository="approved")


@contextmanager
def running_service(folder: Path, upstream_timeout: float = 5.0) -> Iterator[Service]:
    """Give a stand-in with its state in `folder`, running while the block does."""
    service = Service(folder)
    store = PackageStore(folder)
    tokens = TokenBook(folder / "tokens.sqlite", service.now)
    app = create_app(
        store=store,
        tokens=tokens,
        upstream=service.upstream,
        account=ACCOUNT,
        region=REGION,
        base_url=lambda: service.url,
        clock=service.now,
        upstream_timeout=upstream_timeout,
    )
    with serving(app, lambda port: setattr(service, "url", f"http://127.0.0.1:{port}")):
        yield service
    tokens.close()
    store.close()


def assert_shape(where: str, shape: Any, value: Any) -> None:
    """Fail unless `value` is what the model says: no member it does not know, all it requires, right types."""
    right_type: bool = isinstance(value, _JSON_TYPES[shape.type_name])
    assert right_type, f"{where} is {value!r}, not a {shape.type_name}"
    if shape.type_name == "structure":
        unknown = set(value) - set(shape.members)
        missing = set(shape.required_members) - set(value)
        assert not unknown and not missing, f"{where}: unknown {unknown}, missing {missing}"
        for name, item in value.items():
            assert_shape(f"{where}.{name}", shape.members[name], item)
    elif shape.type_name == "list":
        for item in value:
            assert_shape(f"{where}[]", shape.member, item)
    elif shape.type_name == "map":
        for key, item in value.items():
            assert_shape(f"{where} key", shape.key, key)
            assert_shape(f"{where}[{key}]", shape.value, item)
    elif getattr(shape, "enum", None):
        assert value in shape.enum, f"{where} is {value!r}, none of {shape.enum}"


def error_code(call: Callable[[], object]) -> str:
    """Return the AWS error code that `call` fails with."""
    try:
        call()
    except ClientError as e:
        return str(e.response["Error"]["Code"])
    raise AssertionError("the call did not fail")
