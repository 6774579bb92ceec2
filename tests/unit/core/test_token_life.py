from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.index_url import LONGEST, SHORTEST
from glue_pkgmgr.core.token_life import TokenBudget, token_budget
from tests.unit.verbs.locks import lock, pin

ACME = pin("acme==1.0")
SMALL = lock(replace(ACME, files=(replace(ACME.files[0], size=100_000),)))
MINUTE = timedelta(minutes=1)


def test_a_small_lock_on_a_job_that_starts_at_once_takes_the_shortest_life() -> None:
    budget = token_budget({}, SMALL)
    assert (budget.queue, budget.start) == (timedelta(), 5 * MINUTE)
    assert MINUTE < budget.install < 2 * MINUTE
    assert budget.life == SHORTEST


@pytest.mark.parametrize(
    ("definition", "queue", "start"),
    [
        ({"ExecutionClass": "FLEX"}, 20, 5),
        ({"ExecutionClass": "STANDARD"}, 0, 5),
        ({"JobRunQueuingEnabled": True}, 15, 5),
        ({"JobRunQueuingEnabled": True, "ExecutionClass": "FLEX"}, 35, 5),
        ({"WorkerType": "G.16X"}, 0, 10),
        ({"WorkerType": "R.2X"}, 0, 10),
        ({"WorkerType": "G.1X"}, 0, 5),
    ],
)
def test_waiting_and_starting_follow_the_job(definition: dict[str, Any], queue: int, start: int) -> None:
    budget = token_budget(definition, SMALL)
    assert (budget.queue, budget.start) == (queue * MINUTE, start * MINUTE)


def test_installing_follows_the_size_of_the_wheels() -> None:
    large = lock(replace(ACME, files=(replace(ACME.files[0], size=1_200_000_000),)))
    assert token_budget({}, large).install == 11 * MINUTE + timedelta(seconds=1)
    assert token_budget({}, lock(ACME)).install > token_budget({}, SMALL).install  # of unknown size
    assert token_budget({}, lock(pin("boto3==1.40.61", ""))).install == timedelta()


@given(*[st.timedeltas(min_value=timedelta(), max_value=timedelta(days=3))] * 3)
def test_a_life_is_granted_by_codeartifact_and_long_enough_if_any_is(
    queue: timedelta, start: timedelta, install: timedelta
) -> None:
    budget = TokenBudget(queue=queue, start=start, install=install)
    assert SHORTEST <= budget.life <= LONGEST
    assert budget.life >= min(budget.needed, LONGEST)
    assert budget.life.microseconds == 0


def test_the_budget_is_told_in_minutes() -> None:
    assert str(TokenBudget(queue=20 * MINUTE, start=5 * MINUTE, install=timedelta(seconds=61))) == (
        "27 min (20 waiting, 5 starting, 2 installing)"
    )
