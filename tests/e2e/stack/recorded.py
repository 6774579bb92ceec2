"""The calls that our code makes, as botocore and our HTTP sessions are about to send them, in the words of IAM."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from glue_pkgmgr.adapters.clients import Clients
from glue_pkgmgr.adapters.http_session import Transport
from tests.e2e.stack.policies import Call

_ENDPOINT = re.compile(r"/pypi/d/(?P<domain>[^/]+)-\d{12}/(?P<repository>[^/]+)/")
_KEY = "<Key.Arn>"
# Source: CodeArtifact User Guide, "AWS CodeArtifact permissions reference".
_OF_A_REPOSITORY = frozenset({"GetRepositoryEndpoint", "DescribeRepository", "ListPackages"})
# Source: S3 API reference, "Permissions" of each operation.
_OBJECTS = {"HeadObject": "GetObject"}
_FREE = frozenset({"GetCallerIdentity"})  # its page: no permissions are required


class Recorder:
    """Collects calls; `region` and `account` are those that ARNs name, `log_group` is where the job runs write."""

    def __init__(self, region: str, account: str, log_group: str) -> None:
        self.calls: set[Call] = set()
        self._region = region
        self._account = account
        self._log_group = log_group

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what this process calls meanwhile."""
        make, send = Clients._make, Transport.send

        def making(clients: Clients, *key: Any) -> Any:
            client = make(clients, *key)
            self.watch(client)
            return client

        def sending(transport: Transport, request: Any, *args: Any, **kwargs: Any) -> Any:
            self._http(request)
            return send(transport, request, *args, **kwargs)

        with patch.object(Clients, "_make", making), patch.object(Transport, "send", sending):
            yield

    def watch(self, client: Any) -> None:
        """Record what `client`, of boto3 or botocore, calls."""
        client.meta.events.register("before-parameter-build.*.*", self._api)

    def add(self, action: str, resource: str, context: dict[str, str] | None = None) -> None:
        """Record one call."""
        self.calls.add(Call(action, resource, context or {}))

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of something in the region and account."""
        return f"arn:aws:{service}:{self._region}:{self._account}:{rest}"

    # --- the APIs

    def _api(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        recorded = {"codeartifact": self._codeartifact, "glue": self._glue, "logs": self._logs, "s3": self._s3}
        if model.name not in _FREE:
            recorded[model.service_model.service_name](model.name, params)

    def _codeartifact(self, operation: str, params: dict[str, Any]) -> None:
        action, domain = f"codeartifact:{operation}", params["domain"]
        if operation == "GetAuthorizationToken":
            self.add(action, self.arn("codeartifact", f"domain/{domain}"))
            self.add("sts:GetServiceBearerToken", "*", {"sts:AWSServiceName": "codeartifact.amazonaws.com"})
        elif operation in _OF_A_REPOSITORY:
            self.add(action, self.arn("codeartifact", f"repository/{domain}/{params['repository']}"))
        elif operation == "CopyPackageVersions":
            self.add(action, self.arn("codeartifact", f"repository/{domain}/{params['destinationRepository']}"))
            self._reads(domain, params["sourceRepository"])
        else:
            self._package(action, domain, params["repository"], params["package"])

    def _package(self, action: str, domain: str, repository: str, project: str) -> None:
        self.add(action, self.arn("codeartifact", f"package/{domain}/{repository}/pypi//{project}"))

    def _glue(self, operation: str, params: dict[str, Any]) -> None:
        action = f"glue:{operation}"
        if database := params.get("DatabaseName") or (operation == "GetDatabase" and params["Name"]):
            self._catalog(action, str(database), params)
            return
        self.add(action, self.arn("glue", f"job/{params.get('JobName') or params.get('Name')}"))
        if role := params.get("JobUpdate", params).get("Role"):
            arn = role if role.startswith("arn:") else f"arn:aws:iam::{self._account}:role/{role}"
            self.add("iam:PassRole", arn, {"iam:PassedToService": "glue.amazonaws.com"})

    def _catalog(self, action: str, database: str, params: dict[str, Any]) -> None:
        # Source: AWS Glue Developer Guide, "Specifying AWS Glue resource ARNs": the ancestors are asked for, too.
        table = params.get("TableName") or params.get("TableInput", params).get("Name")
        places = ["catalog", f"database/{database}", *([f"table/{database}/{table}"] if table != database else [])]
        for place in places:
            self.add(action, self.arn("glue", place))

    def _logs(self, operation: str, params: dict[str, Any]) -> None:
        # The stand-in knows no security configurations: it calls the groups as those of a job without.
        group = params["logGroupName"].replace("/aws-glue/jobs", self._log_group, 1)
        self.add(f"logs:{operation}", self.arn("logs", f"log-group:{group}:log-stream:"))

    def _s3(self, operation: str, params: dict[str, Any]) -> None:
        bucket, by_s3 = f"arn:aws:s3:::{params['Bucket']}", {"kms:ViaService": f"s3.{self._region}.amazonaws.com"}
        if operation in ("HeadObject", "ListObjectsV2"):  # without it, an absent object is a forbidden one
            self.add("s3:ListBucket", bucket)
        if operation == "ListObjectsV2":
            return
        self.add(f"s3:{_OBJECTS.get(operation, operation)}", f"{bucket}/{params['Key']}")
        if operation == "PutObject":
            self.add("kms:GenerateDataKey", _KEY, by_s3)
        elif operation != "DeleteObject":
            self.add("kms:Decrypt", _KEY, by_s3)

    # --- package indexes

    def _http(self, request: Any) -> None:
        if not (found := _ENDPOINT.search(request.url)):
            return
        if request.method == "GET":
            self._reads(found["domain"], found["repository"])
            return
        fields = dict(request.body.encoder.fields)  # of twine's form
        self._package("codeartifact:PublishPackageVersion", found["domain"], found["repository"], fields["name"])

    def _reads(self, domain: str, repository: str) -> None:
        self.add("codeartifact:ReadFromRepository", self.arn("codeartifact", f"repository/{domain}/{repository}"))
