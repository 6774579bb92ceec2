"""Verb: look at everything that can keep a run from doing what it should, at once, before anything costs money."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from packaging.version import Version

from glue_pkgmgr.core.arguments import argument_faults, run_arguments
from glue_pkgmgr.core.distribution import InvalidFilename, parse_filename
from glue_pkgmgr.core.index_url import LONGEST, SHORTEST
from glue_pkgmgr.core.job import Delivery, ModuleArguments, staged_wheel
from glue_pkgmgr.core.job_definition import (
    Definition,
    Difference,
    WantedJob,
    definition_of,
    differences,
    disagreements,
    grows,
    hazards,
    script_location,
)
from glue_pkgmgr.core.lockfile import Lock, Pin
from glue_pkgmgr.core.names import ProjectName
from glue_pkgmgr.core.preflight import Finding, errors_of, failed, fine, warning, wrong
from glue_pkgmgr.core.repository import RepositoryAddress, Status
from glue_pkgmgr.core.runtime import GlueRuntime
from glue_pkgmgr.core.simple_api import IndexPage
from glue_pkgmgr.core.token_life import TokenBudget, token_budget
from glue_pkgmgr.errors import (
    GluePkgmgrError,
    IndexAccessError,
    NotApproved,
    NotInstallable,
    SettingsError,
)
from glue_pkgmgr.ports import IndexRefused, JobService, Mint, OpenIndex, Repositories, Staging
from glue_pkgmgr.settings import JobSettings
from glue_pkgmgr.verbs.at_once import at_once
from glue_pkgmgr.verbs.job_script import script_content
from glue_pkgmgr.verbs.mirrored import Looking, Mirrored, Presence, lacking_text

_CHECKS_AT_ONCE = 4
_UNAUTHORIZED, _FORBIDDEN, _SERVER_ERROR = 401, 403, 500
_JOB, _REPOSITORY, _INDEX, _STAGING = "job definition", "approved repository", "index", "staging"
_BRING = "`glue-pkgmgr launch --fix` brings it (on one machine `glue-pkgmgr local up` does, too)"
_ARGUMENTS, _LOCK, _TOKEN = "arguments", "lock", "token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be launched: a lock, how it reaches the job, and the caller's own arguments.

    `faults` say why the lock may not be used, empty if it may; `lock_sha256` is the digest of its file, None if it
    has none. `chosen` says that the caller named the delivery.
    """

    job: JobSettings
    lock: Lock
    delivery: Delivery
    arguments: Mapping[str, str] = field(default_factory=dict)
    faults: str = ""
    lock_sha256: str | None = None
    chosen: bool = True

    @property
    def given(self) -> dict[str, str]:
        """The arguments of the run but for those that install: of the settings, and of the caller above them."""
        return {**self.job.arguments, **self.arguments}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What was found before a launch.

    `definition` is the job's as it is then, None if there is none. `differences` are what is to be changed in it,
    if that was asked for. `delivery` may be a safer one than was asked about, where nobody chose it. `budget` is
    what its token has to outlive.
    """

    findings: tuple[Finding, ...]
    delivery: Delivery
    budget: TokenBudget
    definition: Definition | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What keeps the run from being started, the gravest first."""
        return errors_of(self.findings)


def here(asked: Asked) -> tuple[Finding, ...]:
    """Return what can be found without asking anybody: the allow-list, the lock, the arguments, the delivery."""
    lock, runtime = asked.lock, asked.lock.runtime
    found = [
        wrong(_LOCK, asked.faults, error=NotApproved)
        if asked.faults
        else fine(_LOCK, f"{len(lock.pins)} releases approved, {len(lock.installed)} of them to install")
    ]
    if asked.delivery is Delivery.REQUIREMENTS and not runtime.reads_requirements_files:
        told = f"Glue {runtime.version} reads no requirements file"
        found.append(wrong("delivery", told, "use wheels or index"))
    faults = argument_faults(asked.given)
    found += [wrong(_ARGUMENTS, told) for told in faults]
    if not faults:
        found.append(_size(asked))
    return tuple(found)


def _size(asked: Asked) -> Finding:
    """Return whether the arguments fit, with room for what installs, which is not known to the byte yet."""
    wheels = [staged_wheel(asked.job.staging, pin.files[0]) for pin in asked.lock.installed]
    installing = {Delivery.WHEELS: ",".join(wheels)}.get(
        asked.delivery, ",".join(str(pin) for pin in asked.lock.installed) + "x" * _URL_ROOM
    )
    try:
        run_arguments(asked.given, ModuleArguments(installing), "0" * 32)
    except SettingsError as e:
        return failed(_ARGUMENTS, e)
    return fine(_ARGUMENTS, f"{len(asked.given)} arguments that Glue reads as they are meant")


_URL_ROOM = 2048  # bytes of an index URL with its token


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookout:
    """Looks at what is asked of AWS before a launch: some 100 calls at the same time at most.

    `root` is the folder that relative paths of scripts start at.
    """

    root: Path
    approved: RepositoryAddress
    jobs: JobService
    repositories: Repositories
    mint: Mint
    open_index: OpenIndex
    staging: Staging

    def look(self, asked: Asked, *, fix: bool = False) -> Preflight:
        """Return everything that is found, here and in AWS; nothing is changed or started.

        With `fix` the definition counts as it will be once `apply` has made it so.
        """
        with ThreadPoolExecutor(_CHECKS_AT_ONCE) as pool:
            job = pool.submit(_caught, _JOB, lambda: self._defined(asked.job.name))
            repository = pool.submit(_caught, _REPOSITORY, lambda: self._repository(asked.lock))
            way = pool.submit(_caught, _STAGING, lambda: self._way(asked))
            definition, changes, job_findings = self._job(asked, job.result(), fix=fix)
            mirrored = repository.result()
            found = [*here(asked), *job_findings, *_way_findings(way.result(), mirrored, asked.lock.runtime)]
        found.append(mirrored.finding if isinstance(mirrored, _Held) else mirrored)
        budget = token_budget(definition or {}, asked.lock)
        if definition is not None and asked.delivery.carries_token and asked.lock.installed:
            found.append(_life(budget))
        return Preflight(
            findings=tuple(found),
            delivery=_safer(asked, definition),
            definition=definition,
            differences=changes if fix else (),
            budget=budget,
        )

    def apply(self, asked: Asked) -> Definition:
        """Make the job as the settings say, its script uploaded, and return the definition it has then.

        Raises: SettingsError when the script is none that can be brought; RemoteError.
        """
        there = self.jobs.definition(asked.job.name)
        wanted = self._wanted(asked.job, new=there is None)
        if not asked.job.script.startswith("s3://"):
            self.staging.put_file(wanted.script, self.root / asked.job.script)
        made = definition_of(wanted, there)
        if there is None:
            self.jobs.create(made)
        elif differences(there, wanted):
            self.jobs.update(made)
        return made

    def _wanted(self, job: JobSettings, *, new: bool) -> WantedJob:
        return job.wanted(self._script(job), only_written=not new)

    def _script(self, job: JobSettings) -> str:
        """Return the URL of the script as it is here. Raises: SettingsError when it cannot be brought."""
        if job.script.startswith("s3://"):
            return job.script
        path = self.root / job.script
        content = script_content(path, self.root, job.key)
        return script_location(job.staging, hashlib.sha256(content).hexdigest(), path.name)

    # --- the job's definition

    def _defined(self, job: str) -> _Defined:
        definition: Definition | None = self.jobs.definition(job)
        script = ((definition or {}).get("Command") or {}).get("ScriptLocation")
        if not isinstance(script, str) or not script.startswith("s3://"):
            return _Defined(definition=definition)
        try:
            return _Defined(definition=definition, absent_script="" if self.staging.size(script) else script)
        except GluePkgmgrError:  # who launches need not be allowed to read it
            return _Defined(definition=definition)

    def _job(
        self, asked: Asked, looked: _Defined | Finding, *, fix: bool
    ) -> tuple[Definition | None, tuple[Difference, ...], list[Finding]]:
        """Return the definition that counts, where it differs from the settings, and what is found about it."""
        if isinstance(looked, Finding):
            return None, (), [looked]
        answer = looked.definition
        if answer is None and not fix:
            told = f"there is no Glue job {asked.job.name!r}"
            advice = "`glue-pkgmgr launch --fix` creates it (on one machine `glue-pkgmgr local up` does, too)"
            return None, (), [wrong(_JOB, told, advice)]
        try:
            wanted = self._wanted(asked.job, new=answer is None)
        except SettingsError as e:
            if fix or answer is None:
                return answer, (), [failed(_JOB, e)]
            # Where the job has its script already, this machine need not have it.
            there = (answer.get("Command") or {}).get("ScriptLocation")
            wanted = asked.job.wanted(str(there), only_written=True)
        definition = answer if answer is not None and not fix else definition_of(wanted, answer)
        found = list(disagreements(definition, wanted, asked.lock, asked.delivery))
        found += hazards(definition, asked.lock, asked.delivery, asked.given)
        if looked.absent_script and not fix:
            found.append(wrong(_JOB, f"the script of the job, {looked.absent_script}, is not there", _BRING))
        if not found:
            found.append(fine(_JOB, f"{asked.job.name} runs Glue {definition.get('GlueVersion')}"))
        return definition, differences(answer or {}, wanted), found

    # --- the approved repository

    def _repository(self, lock: Lock) -> _Held:
        looking = Looking([lock], self.approved, self.repositories)
        statuses = looking.statuses(sorted({pin.project for pin in looking.pins}))
        mirrored = looking.all(statuses)
        told = [_explained(one, statuses) for one in mirrored]
        lacking = [one for one in told if not one.presence.fine]
        finding = (
            wrong(_REPOSITORY, lacking_text(lacking, self.approved), error=NotInstallable)
            if lacking
            else fine(_REPOSITORY, f"{self.approved.repository} holds every file of the lock, with its hash")
        )
        return _Held(finding=finding, presence={one.pin.project: one.presence for one in mirrored})

    # --- the index or the staging area

    def _way(self, asked: Asked) -> _Probed | Finding | None:
        """Return what the way in which the lock reaches the job is like; None if nothing has to reach it."""
        pins = asked.lock.installed
        if not pins:
            return None
        if asked.delivery is Delivery.WHEELS:
            absent = self._not_staged(asked.job.staging, pins)
            if not absent:
                return fine(_STAGING, f"all {len(pins)} wheels are in {asked.job.staging}wheels/ already")
            pins = absent
        return self._probe(pins[0])

    def _not_staged(self, folder: str, pins: Sequence[Pin]) -> tuple[Pin, ...]:
        sizes = at_once(lambda pin: self.staging.size(staged_wheel(folder, pin.files[0])), pins)
        return tuple(
            pin
            for pin, size in zip(pins, sizes, strict=True)
            if size is None or (pin.files[0].size is not None and size != pin.files[0].size)
        )

    def _probe(self, pin: Pin) -> _Probed:
        """Ask the index for the page of `pin`, with a token that nothing else uses."""
        try:
            index = self.open_index(self.mint(SHORTEST))
            return _Probed(pin=pin, page=index.page(pin.project))
        except GluePkgmgrError as e:
            return _Probed(pin=pin, error=e)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Defined:
    """The job's definition, None if there is no job, and the URL of its script if that is not there, or empty."""

    definition: Definition | None
    absent_script: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """How the approved repository stands, by its API."""

    finding: Finding
    presence: Mapping[ProjectName, Presence]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probed:
    """What the index answered about the project of `pin`: a page, None for 404, or an error."""

    pin: Pin
    page: IndexPage | None = None
    error: GluePkgmgrError | None = None


def _caught(check: str, work: Callable[[], Any]) -> Any:
    """Return what `work` gives, or the finding that it failed."""
    try:
        return work()
    except GluePkgmgrError as e:
        return failed(check, e)


def _explained(one: Mirrored, statuses: Mapping[ProjectName, Mapping[Version, Status]]) -> Mirrored:
    """Return `one` with words for why it is missing, where the reply had none."""
    if one.presence is not Presence.MISSING or one.detail:
        return one
    others = statuses.get(one.pin.project, {})
    if not others:
        return replace(one, detail="no release of it was ever brought in")
    return replace(one, detail=f"only {', '.join(map(str, others))} there")


class Trouble(Enum):
    """What keeps a token from opening the index, or a release from being found in it."""

    EXPIRED = "the token is expired, revoked or of another domain"
    FORBIDDEN = "the token's principal may not read the repository"
    NOT_ACCEPTED = "the token is not accepted"
    NEVER_INGESTED = "the package was never ingested"
    NO_VERSION = "the version is not approved there"
    NO_WHEEL = "there is no wheel for this Glue version"
    INDEX_FAILS = "the index fails"
    UNREACHABLE = "the index cannot be reached"


def trouble_of_error(error: GluePkgmgrError) -> Trouble | None:
    """Return what an error of the index means; None for one that came before it was asked."""
    if not isinstance(error, IndexAccessError):
        return None
    if not isinstance(error, IndexRefused):
        return Trouble.UNREACHABLE
    if error.status == _UNAUTHORIZED:
        return Trouble.EXPIRED
    if error.status == _FORBIDDEN:
        return Trouble.FORBIDDEN
    return Trouble.INDEX_FAILS


def trouble_of_page(page: IndexPage | None, pin: Pin, runtime: GlueRuntime, *, held: bool) -> Trouble | None:
    """Return what keeps a job from finding `pin` on the page of its project; None if nothing does.

    `held` says that the API, which takes no token, tells of the release in the repository.

    Source: CodeArtifact has been seen to answer 404, not 401, to a token that it does not accept.
    """
    if page is None:
        return Trouble.NOT_ACCEPTED if held else Trouble.NEVER_INGESTED
    ranks = list(_ranks(page, pin, runtime))
    if not ranks:
        return Trouble.NO_VERSION
    return Trouble.NO_WHEEL if all(rank is None for rank in ranks) else None


def _ranks(page: IndexPage, pin: Pin, runtime: GlueRuntime) -> Iterator[int | None]:
    """Yield how well each wheel of the release of `pin` fits `runtime`, None for one that does not."""
    for file in page.files:
        try:
            distribution = parse_filename(file.filename)
        except InvalidFilename:
            continue
        if (distribution.project, distribution.version) == pin.release:
            yield runtime.rank(distribution.tags) if distribution.tags else None


_ADVICE = {
    Trouble.EXPIRED: "check this machine's clock, the domain and its owner in the settings, then sign in again",
    Trouble.FORBIDDEN: "it needs codeartifact:ReadFromRepository on the approved repository",
    Trouble.NOT_ACCEPTED: (
        "the API tells of the release, the index answers 404: check codeartifact:ReadFromRepository, and the "
        "policies of domain and repository"
    ),
    Trouble.NEVER_INGESTED: "run `glue-pkgmgr mirror sync`, or publish it",
    Trouble.NO_VERSION: "run `glue-pkgmgr mirror sync`: it is approved and locked, and not brought in yet",
    Trouble.NO_WHEEL: "lock again; a release without a wheel is another one's, or built: sdists under [policy]",
    Trouble.INDEX_FAILS: "try again in some minutes",
    Trouble.UNREACHABLE: "check the network, the proxy, and in a VPC the endpoints of CodeArtifact",
}
_ERRORS = dict.fromkeys((Trouble.NEVER_INGESTED, Trouble.NO_VERSION, Trouble.NO_WHEEL), NotInstallable)
_TOLD_BY_API = (Trouble.NEVER_INGESTED, Trouble.NO_VERSION)


def _way_findings(
    way: _Probed | Finding | None, repository: _Held | Finding, runtime: GlueRuntime
) -> Iterator[Finding]:
    if isinstance(way, Finding):
        yield way
    if not isinstance(way, _Probed):
        return
    presence = repository.presence.get(way.pin.project) if isinstance(repository, _Held) else None
    if way.error is not None:
        trouble = trouble_of_error(way.error)
        if trouble is None:
            yield failed(_TOKEN, way.error)
            return
        told = f"{trouble.value}: {way.error}"
    else:
        trouble = trouble_of_page(way.page, way.pin, runtime, held=presence is Presence.PRESENT)
        if trouble is None:
            yield fine(_INDEX, f"a token opens it; it has {way.pin} for Glue {runtime.version}")
            return
        if presence not in (None, Presence.PRESENT) and trouble in _TOLD_BY_API:
            return  # the same, told about the repository
        told = f"the index has no {way.pin} for Glue {runtime.version}: {trouble.value}"
    yield wrong(_INDEX, told, _ADVICE[trouble], _ERRORS.get(trouble, IndexAccessError))


def _life(budget: TokenBudget) -> Finding:
    if budget.needed > LONGEST:
        return warning(
            _TOKEN,
            f"waiting, starting and installing may take {budget}; no token lives longer than 12 hours, so it "
            "may end before all is installed",
            "use --delivery wheels",
        )
    return fine(_TOKEN, f"it will live {int(budget.life.total_seconds())} s; needed are {budget}")


def _safer(asked: Asked, definition: Definition | None) -> Delivery:
    """Return the delivery: not one with a token that ends where nodes come later, unless the caller chose it."""
    if (
        asked.chosen
        or definition is None
        or not asked.delivery.carries_token
        or not grows(definition, asked.given)
    ):
        return asked.delivery
    return Delivery.WHEELS
