"""The settings file `glue-pkgmgr.toml`, read once into values; an unknown key is an error."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from glue_pkgmgr.core.bundle import Bundle
from glue_pkgmgr.core.licence import LicenceRule, parse_licence_rule
from glue_pkgmgr.core.names import ProjectName, project_name
from glue_pkgmgr.core.repository import RepositoryAddress
from glue_pkgmgr.core.request import parse_items
from glue_pkgmgr.core.runtime import GlueRuntime, glue_runtime
from glue_pkgmgr.core.stack_settings import ExistingNetwork, StackSettings
from glue_pkgmgr.errors import SettingsError

if TYPE_CHECKING:
    from glue_pkgmgr.core.allowlist import AllowList
    from glue_pkgmgr.core.job_definition import WantedJob
    from glue_pkgmgr.core.policy import Policy

T = TypeVar("T")

FILENAME = "glue-pkgmgr.toml"

RECORDS = ".glue-pkgmgr/records"
"""Where records are kept, below the folder of the settings."""

SERVICES = ("osv", "pypi", "esms")
"""The vulnerability services that pip-audit knows."""

_S3_FOLDER = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([^\s?#,]*/)?", re.ASCII)
_LONGEST_MINUTES = 7 * 24 * 60  # Source: AWS Glue Developer Guide, "Adding jobs" (timeout)
_OLDEST_DAYS = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeArtifactSettings:
    """Where packages live: one domain, the store and the approved repository.

    `open_upstream` says that the approved repository has the store as its upstream. That is the weaker shape:
    a job that goes around us can install whatever the store reaches.
    """

    domain: str
    owner: str
    region: str
    store: str
    repository: str
    open_upstream: bool = False

    @property
    def approved_repository(self) -> RepositoryAddress:
        """The repository that jobs install from."""
        return self._address(self.repository)

    @property
    def store_repository(self) -> RepositoryAddress:
        """The repository with the external connection to the public index."""
        return self._address(self.store)

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The upstreams that the approved repository is meant to have."""
        return (self.store,) if self.open_upstream else ()

    def _address(self, repository: str) -> RepositoryAddress:
        return RepositoryAddress(domain=self.domain, owner=self.owner, region=self.region, repository=repository)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """What is allowed, and where it is written down. Paths are absolute.

    `distinct` are projects of others that are not to be taken for look-alikes of internal ones. `build_sdists`
    says that a release without any wheel is built by us.
    """

    allowlist: Path
    locks: Path
    minimum_age: timedelta
    internal: frozenset[ProjectName]
    distinct: frozenset[ProjectName] = frozenset()
    build_sdists: bool = False
    licences: LicenceRule = field(default_factory=LicenceRule)
    vulnerabilities: VulnerabilitySettings | None = None

    def rules(self, allowlist: AllowList, runtime: GlueRuntime, now: datetime) -> Policy:
        """Return the rules in force for one Glue version at the moment `now` (aware UTC)."""
        from glue_pkgmgr.core.policy import Policy  # here: many verbs need no rules

        return Policy(
            allowlist=allowlist,
            internal=self.internal,
            minimum_age=self.minimum_age,
            runtime=runtime,
            now=now,
            licences=self.licences,
            distinct=self.distinct,
            build_sdists=self.build_sdists,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilitySettings:
    """Who is asked about known vulnerabilities: the advisory `file` (absolute), else the `service`.

    `url` is where the service is asked, None for its usual address.
    """

    service: str = ""
    url: str | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """A Glue job as the settings describe it. `script` is a local file or an `s3://` URL.

    `connections` are Glue connections, None to leave them to the job. `written` are the keys that the file has: of
    a job that exists, nothing else is changed.
    """

    key: str
    name: str
    script: str
    bundle: Bundle
    worker_type: str
    workers: int
    arguments: Mapping[str, str]
    staging: str
    role: str
    timeout: timedelta
    concurrent_runs: int
    connections: tuple[str, ...] | None = None
    written: frozenset[str] = frozenset()

    def wanted(self, script: str, *, role: str | None = None, only_written: bool = False) -> WantedJob:
        """Return what Glue is to know of the job. `script` is the URL of its script, `role` an ARN if it is known.

        With `only_written` a setting that the file does not have counts as nothing said.
        """

        def said(key: str) -> bool:
            return key in self.written or not only_written

        from glue_pkgmgr.core.job_definition import WantedJob  # most verbs never ask

        return WantedJob(
            name=self.name,
            glue_version=self.bundle.runtime.version,
            script=script,
            arguments=self.arguments,
            role=(role or self.role) if said("role") else None,
            worker_type=self.worker_type if said("worker-type") else None,
            workers=self.workers if said("workers") else None,
            timeout=self.timeout if said("timeout-minutes") else None,
            concurrent_runs=self.concurrent_runs if said("concurrent-runs") else None,
            connections=self.connections,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the settings file says. `root` is the folder it lies in: relative paths start there.

    `records` is where launches are recorded: a folder (absolute), or the `s3://` URL of one, a slash at its end.
    """

    path: Path
    codeartifact: CodeArtifactSettings
    policy: PolicySettings
    bundles: Mapping[str, Bundle]
    jobs: Mapping[str, JobSettings]
    projects: tuple[Path, ...]
    records: Path | str
    stack: StackSettings

    @property
    def root(self) -> Path:
        """The folder of the settings file."""
        return self.path.parent

    def bundle(self, name: str) -> Bundle:
        """Return the bundle called `name`. Raises: SettingsError naming the known ones."""
        return _lookup(self.bundles, name, "bundle")

    def job(self, name: str) -> JobSettings:
        """Return the job by its key in the settings or its Glue name. Raises: SettingsError."""
        by_glue_name = {job.name: job for job in self.jobs.values()}
        return _lookup({**by_glue_name, **self.jobs}, name, "job")


def load_settings(path: Path) -> Settings:
    """Read the settings file at `path`.

    Raises: SettingsError with the place and the rule: unreadable file, TOML error, unknown or missing key,
    wrong type or value.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a byte order mark
    except FileNotFoundError as e:
        raise SettingsError(
            f"no settings file {path.name} in {path.parent}; go to the project's folder or name the file "
            "with --config; `glue-pkgmgr init` writes a new one"
        ) from e
    except OSError as e:
        raise SettingsError(f"cannot read {path}: {e.strerror}; check the file and its permissions") from e
    except (ValueError, RecursionError) as e:  # not UTF-8, not TOML, or a number or a depth nothing can hold
        raise SettingsError(f"{path} is not TOML: {e}") from e
    return parse_settings(content, path.absolute())


def parse_settings(content: Mapping[str, Any], path: Path) -> Settings:
    """Return `content`, parsed TOML, as settings. `path` is where it was read from (absolute).

    Raises: SettingsError as `load_settings` does.
    """
    top = _Table(content, path.name)
    codeartifact = _codeartifact(top.table("codeartifact"))
    policy = _policy(top.table("policy", optional=True), path.parent)
    bundles = {name: _bundle(name, table) for name, table in top.tables("bundles")}
    jobs = {key: _job(key, table, bundles) for key, table in top.tables("jobs")}
    publish = top.table("publish", optional=True)
    projects = tuple(path.parent / project for project in publish.strings("projects", default=()))
    publish.done()
    records = _records(top.table("records", optional=True), path.parent)
    stack = _stack(top.table("stack", optional=True), codeartifact.region)
    top.done()
    return Settings(
        path=path,
        codeartifact=codeartifact,
        policy=policy,
        bundles=bundles,
        jobs=jobs,
        projects=projects,
        records=records,
        stack=stack,
    )


def _records(table: _Table, root: Path) -> Path | str:
    place = table.string("place", default=RECORDS)
    table.done()
    if "://" not in place:
        return root / place
    url = place.rstrip("/") + "/"
    if not _S3_FOLDER.fullmatch(url):
        raise SettingsError(f"{table.where}.place: {place!r} is neither a folder nor an s3:// URL with a bucket")
    return url


def _codeartifact(table: _Table) -> CodeArtifactSettings:
    names = ("domain", "owner", "region", "store", "repository")
    settings = CodeArtifactSettings(
        **{name: table.string(name) for name in names},
        open_upstream=table.one_of("upstream", ("none", "open")) == "open",
    )
    table.done()
    if settings.store == settings.repository:
        raise SettingsError(f"{table.where}: store and repository are both {settings.store!r}; they must differ")
    # Made here so that a bad name is refused when the settings are read, not at the first call.
    _ = settings.approved_repository, settings.store_repository
    return settings


def _policy(table: _Table, root: Path) -> PolicySettings:
    policy = PolicySettings(
        allowlist=root / table.string("allowlist", default="allowlist.toml"),
        locks=root / table.string("locks", default="locks"),
        minimum_age=timedelta(days=table.integer("minimum-age-days", default=7, least=0, most=_OLDEST_DAYS)),
        internal=table.projects("internal"),
        distinct=table.projects("distinct"),
        build_sdists=table.one_of("sdists", ("refuse", "build")) == "build",
        licences=_licences(table.table("licences", optional=True)),
        vulnerabilities=_vulnerabilities(table, root),
    )
    table.done()
    return policy


def _licences(table: _Table) -> LicenceRule:
    allow, deny = table.strings("allow", default=()), table.strings("deny", default=())
    table.done()
    with _told_at(table.where):
        return parse_licence_rule(allow, deny)


def _vulnerabilities(policy: _Table, root: Path) -> VulnerabilitySettings | None:
    table = policy.table("vulnerabilities", optional=True)
    if not table:
        return None
    if "file" in table:
        found = VulnerabilitySettings(file=root / table.string("file"))
    else:
        service = table.one_of("service", SERVICES)
        found = VulnerabilitySettings(service=service, url=table.string("url") if "url" in table else None)
    table.done()
    return found


def _bundle(name: str, table: _Table) -> Bundle:
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise SettingsError(f"{table.where}: a bundle is named with ASCII letters, digits, '-' and '_'")
    items = table.strings("modules")
    with _told_at(f"{table.where}.modules"):
        modules = parse_items(items)
    version = table.string("glue-version")
    with _told_at(f"{table.where}.glue-version"):
        runtime = glue_runtime(version)
    may_break = table.projects("may-break")
    table.done()
    return Bundle(name=name, modules=modules, runtime=runtime, may_break=may_break)


def _job(key: str, table: _Table, bundles: Mapping[str, Bundle]) -> JobSettings:
    staging = table.string("staging").rstrip("/") + "/"
    if not _S3_FOLDER.fullmatch(staging):
        raise SettingsError(f"{table.where}.staging: {staging!r} is not an s3:// URL with a bucket")
    bundle_name = table.string("bundle")
    with _told_at(f"{table.where}.bundle"):
        bundle = _lookup(bundles, bundle_name, "bundle")
    job = JobSettings(
        key=key,
        name=table.string("name"),
        script=table.string("script"),
        bundle=bundle,
        worker_type=table.string("worker-type", default="G.1X"),
        workers=table.integer("workers", default=2, least=2),
        arguments=table.string_table("arguments"),
        staging=staging,
        role=table.string("role", default=f"{key}-job"),
        timeout=timedelta(minutes=table.integer("timeout-minutes", default=60, least=1, most=_LONGEST_MINUTES)),
        concurrent_runs=table.integer("concurrent-runs", default=1, least=1),
        connections=tuple(table.strings("connections")) if "connections" in table else None,
        written=table.keys,
    )
    table.done()
    return job


def _stack(table: _Table, region: str) -> StackSettings:
    given: dict[str, Any] = {
        "name": table.string("name", default="glue-pkgmgr"),
        "regions": tuple(table.strings("regions", default=(region,))),
        "cidr": table.string("cidr", default="10.0.0.0/24"),
        "endpoints": table.one_of("endpoints", ("create", "existing")) == "create",
        "existing_buckets": tuple(table.strings("existing-buckets", default=())),
        "principals": tuple(table.strings("principals", default=())),
        "notify": tuple(table.strings("notify", default=())),
        "tags": table.string_table("tags", "tags are texts"),
        "sample_data": table.string_table("sample-data", "paths are texts"),
        "log_days": table.integer("log-days", default=365, least=1),
        "keep": table.one_of("when-destroyed", ("delete", "keep")) == "keep",
        "imports": table.one_of("imports", ("refuse", "publish")) == "publish",
    }
    for key in ("s3-prefix-list", "kms-key", "permissions-boundary"):
        given[key.replace("-", "_")] = table.optional(key)
    network = _network(table)
    table.done()
    with _told_at(table.where):
        return StackSettings(**given, network=ExistingNetwork(**network) if network else None)


def _network(table: _Table) -> Mapping[str, Any] | None:
    """Return what the settings say of a VPC that is there; None if one is to be made."""
    of_a_vpc = ("subnets", "zones", "route-tables")
    if "vpc" not in table:
        if stray := [key for key in of_a_vpc if key in table]:
            raise SettingsError(f"{table.where}: {', '.join(stray)} without a vpc; name the one they are of")
        return None
    if "cidr" in table:
        raise SettingsError(
            f"{table.where}: cidr is of a VPC that is made, and vpc names one that is there; leave one out"
        )
    lists = {key.replace("-", "_"): tuple(table.strings(key, default=())) for key in of_a_vpc}
    return {"vpc": table.string("vpc"), **lists}


@contextmanager
def _told_at(place: str) -> Iterator[None]:
    """Put `place` before the text of a SettingsError."""
    try:
        yield
    except SettingsError as e:
        raise SettingsError(f"{place}: {e}") from e


def _lookup(values: Mapping[str, T], name: str, what: str) -> T:
    if name in values:
        return values[name]
    known = ", ".join(sorted(values)) or "none"
    raise SettingsError(f"no {what} {name!r} in the settings; known: {known}{_nearest(name, values)}")


def _misspelt(key: str, written: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(key, written, n=1)
    return f"; is {close[0]!r} meant to be it?" if close else ""


def _nearest(name: str, known: Mapping[str, Any] | set[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class _Table:
    """A TOML table being read: what was taken is known, so `done` can name what nobody asked for."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self.where = where
        self._content = content
        self._taken: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def __bool__(self) -> bool:
        return bool(self._content)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self._content)

    def _take(self, key: str, kind: type, default: Any = None) -> Any:
        self._taken.add(key)
        value = self._content.get(key, default)
        if value is None:
            written = [other for other in self._content if other not in self._taken]
            raise SettingsError(f"{self.where}: {key!r} is missing{_misspelt(key, written)}")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SettingsError(f"{self.where}.{key}: {value!r} is not {_KINDS[kind]}")
        return value

    def string(self, key: str, default: str | None = None) -> str:
        value: str = self._take(key, str, default)
        if not value.strip():
            raise SettingsError(f"{self.where}.{key} is empty")
        return value

    def optional(self, key: str) -> str | None:
        """Return the text of `key`, None where there is none."""
        return self.string(key) if key in self else None

    def integer(self, key: str, *, default: int, least: int, most: int | None = None) -> int:
        value: int = self._take(key, int, default)
        if value < least:
            raise SettingsError(f"{self.where}.{key}: {value} is below {least}")
        if most is not None and value > most:
            raise SettingsError(f"{self.where}.{key}: {value} is above {most}")
        return value

    def strings(self, key: str, default: tuple[str, ...] | None = None) -> list[str]:
        value = self._take(key, list, None if default is None else list(default))
        for number, item in enumerate(value):
            if not isinstance(item, str):
                raise SettingsError(f"{self.where}.{key}[{number}]: {item!r} is not a text")
        return list(value)

    def projects(self, key: str) -> frozenset[ProjectName]:
        with _told_at(f"{self.where}.{key}"):
            return frozenset(project_name(name) for name in self.strings(key, default=()))

    def one_of(self, key: str, known: tuple[str, ...]) -> str:
        """Return one of `known`, the first where nothing is written."""
        value = self.string(key, default=known[0])
        if value not in known:
            raise SettingsError(
                f"{self.where}.{key}: {value!r} is none of {', '.join(known)}{_nearest(value, set(known))}"
            )
        return value

    def string_table(self, key: str, told: str = "Glue arguments are texts") -> Mapping[str, str]:
        value = self._take(key, dict, {})
        for name, item in value.items():
            if not isinstance(item, str):
                raise SettingsError(f"{self.where}.{key}.{name}: {item!r} is not a text; {told}")
        return dict(value)

    def table(self, key: str, optional: bool = False) -> _Table:
        return _Table(self._take(key, dict, {} if optional else None), f"{self.where}: {key}")

    def tables(self, key: str) -> list[tuple[str, _Table]]:
        parent = self.table(key, optional=True)
        return [(name, parent.table(name)) for name in parent._content]

    def done(self) -> None:
        for key in self._content:
            if key not in self._taken:
                raise SettingsError(f"{self.where}: unknown key {key!r}{_nearest(key, self._taken)}")


_KINDS = {str: "a text in quotes", int: "a whole number", list: "a list", dict: "a table"}
