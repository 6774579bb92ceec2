"""Secrets that stand where anybody who may describe a resource reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from glue_pkgmgr.core.secret_arguments import blatant_secret, plain_secret
from glue_pkgmgr.infra.lint.document import Path
from glue_pkgmgr.infra.lint.intrinsics import placeholders, shortened
from glue_pkgmgr.infra.lint.rule import Asked, Hit, Level, Rule
from glue_pkgmgr.infra.lint.rules.states import started_jobs
from glue_pkgmgr.infra.lint.view import Setting, View, job_arguments

_RESOLVED = re.compile(r"\{\{resolve:(?:secretsmanager|ssm-secure):", re.IGNORECASE)
_FILLED_IN_LATER = re.compile(r":(?:\$|%s|\*+|\{[^{}]*\}|<[^<>]*>)@")  # a password that is not there yet
_IN_A_QUERY = re.compile(r"[?&;](?:password|pwd)=(?![$\s&;{<%*])[^\s&;]", re.IGNORECASE)
_PASSWORD_OF_A_URL = re.compile(r"://[^/?#\s:@]+:\$\{[^{}]*\}@")


def _in_arguments(view: View, asked: Asked) -> Iterator[Hit]:
    for argument in job_arguments(view):
        if why := _why(argument, view.hidden) or _resolved(argument):
            yield Hit(place=argument.place, told=_sentence(f"the argument {argument.name}", why))
    for machine in view.state_machines:
        for definition in machine.definitions:
            for name, why in dict.fromkeys(_in_states(definition)):
                yield Hit(place=definition.place, told=_sentence(f"the argument {name} of a job", why))


def _in_states(definition: Setting) -> Iterator[tuple[str, str]]:
    """Yield each argument that a workflow gives to a job although its name, or a hidden one, tells of a secret."""
    for _, arguments in started_jobs(definition):
        for name, value in arguments.items():
            made_later = not isinstance(value, str) or name.endswith(".$") or value.startswith(("$", "{%"))
            if not made_later and (why := _by_name(name, str(value))):
                yield name, why


def _elsewhere(view: View, asked: Asked) -> Iterator[Hit]:
    arguments = {_where(one) for one in job_arguments(view)}
    told: set[tuple[str, str, Path]] = set()
    for what, settings in (
        ("the connection property", [one for connection in view.connections for one in connection.properties]),
        ("the environment variable", view.environments),
    ):
        in_clear = what.endswith("variable")  # a connection's properties Glue can encrypt and hide
        for one in settings:
            if why := _why(one, view.hidden if in_clear else frozenset()) or (in_clear and _resolved(one)):
                told.add(_where(one))
                yield Hit(place=one.place, told=_sentence(f"{what} {one.name}", why))
    for one in view.texts:
        why = next(filter(None, map(_blatant, one.texts)), "")
        if one.resource.kind == "Parameter" and any(one.texts):
            why = "has a default, although it is to be secret"
        if why and _where(one) not in arguments and _where(one) not in told:
            yield Hit(place=one.place, told=f"{one.name or 'a text'} {why}")


def _where(setting: Setting) -> tuple[str, str, Path]:
    """Return where a setting stands, whether or not it does so in a branch of a condition."""
    path: Path = ()
    branch = False
    for step in setting.path:
        call = isinstance(step, str) and step.startswith("Fn::")
        if not call and not (branch and isinstance(step, int)):
            path = (*path, step)
        branch = call
    return setting.resource.file, setting.resource.name, path


def _sentence(subject: str, why: str) -> str:
    return f"{subject}: {why}" if why.startswith("its ") else f"{subject} {why}"


def _why(setting: Setting, hidden: frozenset[str]) -> str:
    """Return why a value seems to be a secret; empty if it does not."""
    for text in setting.texts:
        if found := sorted(hidden.intersection(placeholders(text))):
            return f"takes its value from {found[0]}, which is to be secret"
        if _PASSWORD_OF_A_URL.search(text):
            return "becomes a URL with a password or token in it"
        if why := _by_name(setting.name, text) or _blatant(text):
            return why
    return ""


def _by_name(name: str, text: str) -> str:
    # A reference is no secret by its name: `${Secret.Arn}` says where one lies.
    return "" if "${" in text else plain_secret(name.removeprefix("--"), text)


def _blatant(text: str) -> str:
    told = _FILLED_IN_LATER.sub("@", shortened(text))
    return blatant_secret(told) or ("holds a password in a connection text" if _IN_A_QUERY.search(told) else "")


def _resolved(setting: Setting) -> str:
    if any(map(_RESOLVED.search, setting.texts)):
        return "is resolved to the secret itself when the stack is deployed"
    return ""


RULES = (
    Rule(
        id="GPK101",
        name="secret-in-job-arguments",
        title="Secret or token in a job's arguments",
        reason="Arguments stand in clear in glue:GetJob, glue:GetJobRun, the console and job logs.",
        fix="Give the job the name of a secret in Secrets Manager and read it there; a token for the package "
        "index belongs in a requirements file in S3 that is deleted after the installation, or is not needed at "
        "all where the wheels are staged in S3.",
        level=Level.ERROR,
        find=_in_arguments,
    ),
    Rule(
        id="GPK102",
        name="secret-in-template",
        title="Secret or token in a template",
        reason="Whoever reads the template, the stack, or the resource has the secret, and so has the history of "
        "the repository it lies in.",
        fix="Keep it in Secrets Manager: name it by SECRET_ID in a connection, and by its ARN in a function's "
        "environment. Then change the secret: it has been told.",
        level=Level.ERROR,
        find=_elsewhere,
    ),
)
