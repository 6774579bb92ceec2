"""boto3 clients made on demand, and what their exceptions mean for a user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from glue_pkgmgr.core.denied import denied
from glue_pkgmgr.errors import GluePkgmgrError, NoCapacity, RemoteError, SettingsError
from glue_pkgmgr.ports import Unreached

_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_ATTEMPTS = 4  # the first one and three retries, with botocore's jittered back-off

_FILES = {"config_file": "AWS_CONFIG_FILE", "credentials_file": "AWS_SHARED_CREDENTIALS_FILE"}

NOT_AN_ANSWER = (AttributeError, TypeError, ValueError)
"""What botocore's parser raises for a body that is no JSON object, not UTF-8, or of other types than its model."""

_NOT_OF_AWS = "so it is not of AWS; check the proxy and AWS_ENDPOINT_URL"
_LONGEST = 500  # characters of a message: of an answer that is not in AWS's form, it is all of a page
_QUERY = re.compile(r"\?[^\s\"']*")  # of the URL in botocore's words: long, and no help
_LOOPBACK = "127.0.0.1"
_SERVER_ERROR = 500

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_UNKNOWN_CALLER = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId"}
)
_WRONG_CLOCK = frozenset({"InvalidSignatureException", "RequestTimeTooSkewed", "RequestInTheFuture"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403"})
_ABSENT = frozenset(
    {"ResourceNotFoundException", "EntityNotFoundException", "NoSuchBucket", "NoSuchKey", "NotFound", "404"}
)
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown"})
_FAILING = frozenset(
    {"ServiceUnavailable", "ServiceUnavailableException", "InternalFailure", "InternalError"}
    | {"InternalServerException", "InternalServiceException", "500", "502", "503", "504"}
)
_NO_CAPACITY = frozenset(
    {
        "ConcurrentRunsExceededException",
        "LimitExceededException",
        "ResourceNumberLimitExceededException",
        "ServiceQuotaExceededException",
    }
)


class RemoteRefusal(RemoteError):
    """AWS answered with an error. `code` is the service's own, such as `ConflictException`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def absent(self) -> bool:
        """Whether what was asked for does not exist."""
        return self.code in _ABSENT


class _Withheld(bytes):
    """A body that is not shown: with logging at DEBUG, botocore writes all it sends and gets into the log.

    A new token is in one, and the arguments of a run or its requirements file may hold it.
    """

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__


def _withhold_request(params: dict[str, Any], **_: object) -> None:
    if isinstance(params.get("body"), str | bytes):
        body = params["body"]
        params["body"] = _Withheld(body.encode() if isinstance(body, str) else body)


def _withhold_answer(response_dict: dict[str, Any], **_: object) -> None:
    if isinstance(response_dict.get("body"), bytes):
        response_dict["body"] = _Withheld(response_dict["body"])


class Clients:
    """Makes boto3 clients of one region, each once.

    Endpoints, access keys, profile and the places of the configuration files are read from `environ`, so
    that a caller may point at a stand-in without touching the process. Where `environ` holds no access key,
    boto3's own chain applies: profile, single sign-on, container or instance role. Nothing is imported or
    contacted before the first `client`.

    Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints" (`AWS_ENDPOINT_URL[_SERVICE]`).
    """

    def __init__(self, environ: Mapping[str, str], region: str) -> None:
        self._environ = environ
        self._region = region
        self._made: dict[tuple[str, int, int], Any] = {}
        # boto3 sessions must not make clients in two threads at once; the clients themselves are thread-safe.
        self._lock = Lock()
        self._session: Any = None
        self._services: set[str] = set()

    def client(self, service: str, *, read_seconds: int = _READ_SECONDS, attempts: int = _ATTEMPTS) -> Any:
        """Return the client of `service`, a boto3 service name such as `codeartifact`.

        An attempt fails when nothing is heard for `read_seconds`; a call fails with the last of its `attempts`.

        Raises: SettingsError when the profile named in the environment does not exist.
        """
        with self._lock:
            key = (service, read_seconds, attempts)
            if key not in self._made:
                self._made[key] = self._make(*key)
            return self._made[key]

    def endpoint_url(self, service: str) -> str | None:
        """Return the endpoint that the environment sets for `service`; None leaves it to boto3."""
        if self._environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
            return None
        own = f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"
        return self._environ.get(own) or self._environ.get("AWS_ENDPOINT_URL") or None

    def _make(self, service: str, read_seconds: int, attempts: int) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=32,
        )
        try:
            if self._session is None:
                self._session = self._new_session()
            self._services.add(service)
            client = self._session.create_client(
                service, region_name=self._region, endpoint_url=self.endpoint_url(service), config=config
            )
        except (BotoCoreError, ValueError) as e:  # ValueError: an endpoint that is no URL
            raise SettingsError(
                f"cannot make an AWS client for {service}: {e}; check AWS_* in the environment"
            ) from e
        client.meta.events.register("before-call", _withhold_request)
        client.meta.events.register("before-parse", _withhold_answer)
        return client

    def _new_session(self) -> Any:
        # Not through boto3, which makes the same clients and takes as long again to load what nothing here uses.
        import botocore.session
        from botocore.configprovider import ConstantProvider

        core = botocore.session.Session()
        # botocore reads the process's variables; a profile set there must not get into another environment.
        profile = ConstantProvider(self._environ.get("AWS_PROFILE") or None)
        core.get_component("config_store").set_config_provider("profile", profile)
        for name, variable in _FILES.items():
            if path := self._environ.get(variable):
                core.set_config_variable(name, path)
        key, secret = self._environ.get("AWS_ACCESS_KEY_ID"), self._environ.get("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            core.set_credentials(key, secret, self._environ.get("AWS_SESSION_TOKEN") or None)
        # To tell an unknown service botocore looks into the folders of all four hundred, in every process anew.
        core.get_component("data_loader").list_available_services = lambda type_name: self._services
        return core


def known_regions(service: str) -> frozenset[str]:
    """Return the regions of every public partition that botocore knows `service` in; nothing is contacted."""
    import botocore.session

    core = botocore.session.Session()
    partitions = core.get_available_partitions()
    return frozenset(region for one in partitions for region in core.get_available_regions(service, one))


@contextmanager
def aws_errors(failed: str, *, needs: str = "") -> Iterator[None]:
    """Turn botocore's exceptions in the block into ours, in one sentence.

    `failed` begins it, such as "could not mint a token for CodeArtifact domain 'x'"; `needs` names the
    permissions of the calls in the block, told when access is denied.

    Raises: NoCapacity at a quota or limit; RemoteRefusal for any other error answer; Unreached when AWS
    was not reached, or an answer is none of AWS: it cannot be read, or lacks what the block looks for in it;
    SettingsError when there are no usable credentials.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as e:
        raise _refusal(failed, needs, e.response) from e
    except BotoCoreError as e:
        raise _no_answer(failed, e) from e
    except KeyError as e:
        # botocore takes any answer of status 200: of a proxy's page it reads that nothing is in it.
        raise Unreached(f"{failed}: the answer has no {e.args[0]}, {_NOT_OF_AWS}") from e
    except NOT_AN_ANSWER as e:
        raise Unreached(f"{failed}: the answer cannot be read ({type(e).__name__}), {_NOT_OF_AWS}") from e


def _refusal(failed: str, needs: str, response: Mapping[str, Any]) -> GluePkgmgrError:
    error = response.get("Error", {})
    code = str(error.get("Code") or response.get("ResponseMetadata", {}).get("HTTPStatusCode", "Unknown"))
    message = said(error)
    told = f"{failed}: {message} ({code}){_advice(code, error, needs)}{_place(response)}"
    return NoCapacity(told) if code in _NO_CAPACITY else RemoteRefusal(told, code)


def said(error: Mapping[str, Any]) -> str:
    """Return in one line of bearable length what `Error` of an answer says."""
    text = " ".join(str(error.get("Message") or "").split()).rstrip(".") or "no reason given"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def formless(response: Mapping[str, Any]) -> bool:
    """Whether an error answer is in no form of AWS, and therefore of something between it and us.

    botocore puts the HTTP status where the error code should be.
    """
    code = str(response.get("Error", {}).get("Code") or "")
    return not code or code.isdigit()


def _advice(code: str, error: Mapping[str, Any], needs: str) -> str:
    for codes, advice in _ADVICE:
        if code in codes:
            return f"; {advice}"
    if code in _DENIED:
        lacking = denied(str(error.get("Message") or ""))
        told = lacking.advice if lacking else needs and f"the caller needs {needs}"
        return f"; {told}" if told else ""
    return _advice_on_status(code) if code.isdigit() else ""


_ADVICE = (
    (_EXPIRED, "the AWS credentials have expired: sign in again, and check this machine's clock"),
    (
        _WRONG_CLOCK,
        "a request is signed with the time here: check this machine's clock, then the AWS credentials",
    ),
    (
        _UNKNOWN_CALLER,
        "AWS does not know these credentials: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE",
    ),
    (_THROTTLED, "AWS asks for fewer calls: try again in a minute"),
    (_FAILING, "AWS itself fails: try again in some minutes"),
)


def _advice_on_status(status: str) -> str:
    # Answers to HEAD, which have no body and no code, are 403 and 404.
    if status in _DENIED | _ABSENT or int(status) >= _SERVER_ERROR:
        return ""
    return "; that is no answer of AWS: check the proxy and AWS_ENDPOINT_URL"


def _place(response: Mapping[str, Any]) -> str:
    """Return what to check when a domain or a repository of CodeArtifact is not there, else ''."""
    lacking = response.get("resourceType")
    if lacking not in ("domain", "repository"):
        return ""
    return (
        f"; check the {lacking}, and owner and region, under [codeartifact] in the settings; where it was never "
        "made, `glue-pkgmgr stack deploy` does, on one machine `glue-pkgmgr local up`"
    )


def _no_answer(failed: str, error: Exception) -> GluePkgmgrError:
    from botocore import exceptions as botocore

    no_credentials = (
        botocore.NoCredentialsError,
        botocore.PartialCredentialsError,
        botocore.CredentialRetrievalError,
        botocore.SSOError,
        botocore.ProfileNotFound,
    )
    if isinstance(error, no_credentials):
        return SettingsError(
            f"{failed}: {_sentence(error)}; sign in (`aws sso login`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY; against the stand-in: `glue-pkgmgr local exec -- …`"
        )
    if isinstance(error, botocore.ParamValidationError):
        return SettingsError(f"{failed}: {_sentence(error)}")
    told = _QUERY.sub("", _sentence(error))
    hint = "; if the stand-in is down: `glue-pkgmgr local up`" if _LOOPBACK in told else ""
    return Unreached(f"{failed}: {told}; check the network, the region and AWS_ENDPOINT_URL{hint}")


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
