"""Secrets that pass through the states of a Step Functions state machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.lint.document import Table, Value, items, table
from glue_pkgmgr.infra.lint.intrinsics import shortened
from glue_pkgmgr.infra.lint.json_text import parse_json
from glue_pkgmgr.infra.lint.rule import Asked, Hit, Level, Rule
from glue_pkgmgr.infra.lint.view import Setting, View

_FETCHES = re.compile(
    r":states:::aws-sdk:(codeartifact:getauthorizationtoken|secretsmanager:(?:batch)?getsecretvalue)",
    re.IGNORECASE,
)
_USES = re.compile(r"AuthorizationToken|SecretString", re.IGNORECASE)
_URL = re.compile(r"://[^/?#\s:@]*:[^/?#\s@]*@")


class State(NamedTuple):
    """One state: its name and what it says."""

    name: str
    told: Table


def states(definition: Value) -> Iterator[State]:
    """Yield every state of a definition, those of branches and maps too. Source: Amazon States Language."""
    for name, one in table(table(definition).get("States")).items():
        told = table(one)
        yield State(name, told)
        for inner in (*items(told.get("Branches")), told.get("Iterator"), told.get("ItemProcessor")):
            yield from states(inner)


def parsed(text: str) -> Value:
    """Return a definition as a document; None where it cannot be read before its placeholders are filled in."""
    for candidate in (text, shortened(text)):
        try:
            return parse_json(candidate)
        except SettingsError:
            continue
    return None


def _find(view: View, asked: Asked) -> Iterator[Hit]:
    for machine in view.state_machines:
        for definition in machine.definitions:
            for told in dict.fromkeys(sentence for text in definition.texts for sentence in _told(text)):
                yield Hit(place=definition.place, told=told)


def _told(text: str) -> Iterator[str]:
    document = parsed(text)
    if document is None:
        if found := _FETCHES.search(shortened(text)):
            yield f"a state calls {found[1]}: its result is in the execution history"
        return
    for state in states(document):
        call = state.told.get("Resource")
        if isinstance(call, str) and (found := _FETCHES.search(call)):
            yield f"the state {state.name!r} calls {found[1]}: its result is in the execution history"
        else:
            given = json.dumps([state.told.get(member) for member in _INPUTS])
            if _USES.search(given) or _URL.search(given):
                yield f"the state {state.name!r} hands a token or secret on: its input is in the execution history"


_INPUTS = ("Parameters", "Arguments", "Result", "ResultSelector", "Output", "Assign", "ItemSelector")


def started_jobs(definition: Setting) -> Iterator[tuple[str, Table]]:
    """Yield the arguments that each state gives to a Glue job, with the name of the state."""
    for text in definition.texts:
        for state in states(parsed(text)):
            call = state.told.get("Resource")
            if isinstance(call, str) and "glue:startjobrun" in call.lower():
                given = table(state.told.get("Parameters") or state.told.get("Arguments"))
                yield state.name, table(given.get("Arguments"))


RULES = (
    Rule(
        id="GPK103",
        name="secret-through-states",
        title="Token or secret passes through the states of a workflow",
        reason="Step Functions keeps the input and output of every state for 90 days: whoever may call "
        "states:GetExecutionHistory reads the token. Dropping it in ResultSelector comes too late.",
        fix="Mint the token and start the job in one Lambda function that returns the id of the run only, or "
        "deliver the wheels by S3 so that no token is needed.",
        level=Level.ERROR,
        find=_find,
    ),
)
