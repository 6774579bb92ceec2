"""Faults on demand: how rules are read and written, and which one applies when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue_pkgmgr.core.job import JobRunState
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.local.faults import (
    DROPPED,
    EVER,
    LOST,
    SERVICES,
    CallFault,
    Faults,
    Rule,
    RunBehaviour,
    misspelt,
    parse_rule,
)

TIMES = st.none() | st.integers(1, 999_999)
SPANS = st.integers(0, 86_400_000).map(lambda number: timedelta(milliseconds=number))
NAMES = st.from_regex("[A-Z][A-Za-z0-9]{2,40}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
ENDS = st.sampled_from([state for state in JobRunState if state.outcome is not None])
ANSWERS = st.sampled_from([403, 429, 500, 502, 503, LOST, DROPPED, "ok"]) | SPANS


def rules(topic: str, key: str, values: Any, times: Any = TIMES) -> st.SearchStrategy[Rule]:
    return st.builds(Rule, topic=st.just(topic), key=st.just(key), value=values, times=times)


RULES = st.one_of(
    st.builds(
        Rule,
        topic=st.sampled_from([service for service in SERVICES if service != "index"]),
        key=st.just("") | NAMES,
        value=ANSWERS | NAMES,
        times=TIMES,
    ),
    rules("index", "page", ANSWERS | st.sampled_from([401, 404])),
    rules("all", "", ANSWERS),
    *(rules("run", key, SPANS | st.just(EVER)) for key in ("waiting", "starting", "running")),
    *(rules("run", key, ENDS) for key in ("end", "end-after-script")),
    *(rules("run", key, TEXTS) for key in ("message", "line", "error-line")),
    *(rules("run", key, st.integers(1, 100_000)) for key in ("lines", "huge-line", "seconds")),
    rules("run", "state", st.from_regex("[A-Z_]{1,40}", fullmatch=True)),
    rules("token", "dies", st.just("install")),
    rules("token", "dies", SPANS | st.just("now"), st.none()),
    rules("token", "answer", st.sampled_from(["401", "404"]), st.none()),
    rules("logs", "missing", SPANS | st.just(EVER), st.none()),
    rules("logs", "late", SPANS | st.just(EVER), st.none()),
    rules("logs", "mixed", SPANS, st.none()),
    rules("logs", "endings", st.just("crlf"), st.none()),
)


@given(RULES)
def test_a_rule_is_read_as_it_was_written(rule: Rule) -> None:
    assert parse_rule(str(rule)) == rule


PIECES = st.sampled_from(
    ["glue", "run", "logs", "token", ":", "=", "*", "*3", "end", "503", "50ms", "\\", "\n", "ever"]
)


@given(st.text() | st.lists(PIECES | st.text(max_size=2)).map("".join))
def test_what_is_no_rule_is_refused_in_words(text: str) -> None:
    try:
        rule = parse_rule(text)
    except SettingsError as e:
        assert "is no fault the stand-in can have: " in str(e)
        str(e).encode()
    else:
        assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "TOPIC[:KEY]=VALUE"),
        ("glue:StartJobRun", "TOPIC[:KEY]=VALUE"),
        ("glue:=503", "TOPIC[:KEY]=VALUE"),
        ("glu:StartJobRun=503", "did you mean 'glue'?"),
        ("run:ned=FAILED", "did you mean 'end'?"),
        ("run=FAILED", "there is end, end-after-script"),
        ("run:end=EXPIRE", "did you mean 'EXPIRED'?"),
        ("run:end=RUNNING", "no state in which a run ends 'RUNNING'"),
        ("run:state=paused", "upper-case"),
        ("run:lines=0", "from 1 to"),
        ("run:line=\\x", "no escape"),
        ("run:line=", "empty"),
        ("run:waiting=1h", "no time"),
        ("run:waiting=1441m", "more than a day"),
        ("glue:StartJobRun=418", "429"),
        ("glue:StartJobRun=503*0", "from 1 to"),
        ("glue:StartJobRun=losst", "did you mean 'lost'?"),
        ("index:pages=503", "did you mean 'page'?"),
        ("index:page=ThrottlingException", "no answer"),
        ("all:StartJobRun=503", "no topic 'all'"),
        ("logs:mising=30", "did you mean 'missing'?"),
        ("logs:missing=30*2", "leave out *2"),
        ("token:dies=installed", "no time"),
        ("token:answer=500", "there is 401, 404"),
        ("run:line=\udcff", "not UTF-8"),
        ("glue:GetJobRun=" + "9" * 5000, "no status"),
    ],
)
def test_a_refusal_names_the_nearest_right_spelling(text: str, hint: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_rule(text)
    assert hint in str(refused.value)


def test_a_name_the_service_does_not_have_is_told_with_the_nearest() -> None:
    names, codes = ["StartJobRun", "GetJobRun"], ["ThrottlingException"]
    assert misspelt(parse_rule("glue:GetJobRun=ThrottlingException"), names, codes) is None
    assert misspelt(parse_rule("glue=lost"), names, codes) is None
    assert "'StartJobRun'?" in (misspelt(parse_rule("glue:StartJobrun=503"), names, codes) or "")
    assert "'ThrottlingException'?" in (misspelt(parse_rule("glue=TrottlingException"), names, codes) or "")


class Clock:
    """Time in seconds that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def faults(clock: Clock) -> Faults:
    return Faults(clock)


def put(faults: Faults, *texts: str) -> None:
    faults.set([parse_rule(text) for text in texts])


def answers(faults: Faults, count: int, service: str = "glue", operation: str = "GetJobRun") -> list[object]:
    return [faults.call(service, operation).answer for _ in range(count)]


def test_without_rules_everything_is_as_usual(faults: Faults) -> None:
    assert faults.call("glue", "GetJobRun") == CallFault()
    assert faults.behaviour() == RunBehaviour()
    faults.run_begins()
    faults.minted("t")
    assert not faults.killed("t")
    assert not faults.killed("older")
    assert (faults.logs_missing(), faults.crlf(), faults.refused_as_missing()) == (False, False, False)
    assert faults.log_delays() == (timedelta(), timedelta())


def test_of_several_answers_the_first_that_is_left_counts(faults: Faults) -> None:
    put(faults, "glue:GetJobRun=ok*1", "glue:GetJobRun=503*2", "glue=lost*1")
    assert answers(faults, 1, operation="GetJobRuns") == [LOST]
    assert answers(faults, 4) == [None, 503, 503, None]
    assert [used for _, used in faults.in_force()] == [1, 2, 1]
    assert answers(faults, 1, service="s3", operation="PutObject") == [None]


def test_delays_add_up_and_leave_the_answer_alone(faults: Faults) -> None:
    put(faults, "all=50ms", "glue:GetJobRun=1s*1", "glue=429")
    assert faults.call("glue", "GetJobRun") == CallFault(delay=timedelta(seconds=1.05), answer=429)
    assert faults.call("glue", "GetJobRun") == CallFault(delay=timedelta(seconds=0.05), answer=429)
    assert faults.call("index", "page") == CallFault(delay=timedelta(seconds=0.05))


def test_the_switches_of_logs_are_no_faults_of_calls(faults: Faults) -> None:
    put(faults, "logs:late=5s", "logs:missing=ever", "logs:FilterLogEvents=403")
    assert faults.call("logs", "PutLogEvents") == CallFault()
    assert faults.call("logs", "FilterLogEvents") == CallFault(answer=403)


def test_each_run_takes_the_next_behaviour(faults: Faults) -> None:
    put(faults, "run:end=FAILED*1", "run:end=ERROR*1", "run:message=first*1", "run:waiting=2s")
    first, second, third = faults.behaviour(), faults.behaviour(), faults.behaviour()
    assert (first.simulated, first.end, first.message) == (True, JobRunState.FAILED, "first")
    assert (second.simulated, second.end, second.message) == (True, JobRunState.ERROR, None)
    assert third == RunBehaviour(waiting=timedelta(seconds=2))


def test_lines_of_a_simulated_run_come_in_the_order_of_the_rules(faults: Faults) -> None:
    put(faults, "run:line=a\\tb", "run:error-line=oh", "run:line=c", "run:lines=2", "run:huge-line=4")
    behaviour = faults.behaviour()
    assert (behaviour.simulated, behaviour.end) == (True, JobRunState.SUCCEEDED)
    assert (behaviour.output, behaviour.error) == (("a\tb", "c", "line 1", "line 2", "xxxx"), ("oh",))


def test_a_run_that_only_ends_otherwise_is_not_simulated(faults: Faults) -> None:
    put(faults, "run:end-after-script=TIMEOUT", "run:state=PAUSED", "run:starting=ever", "run:seconds=90")
    assert faults.behaviour() == RunBehaviour(end=JobRunState.TIMEOUT, state="PAUSED", starting=EVER, seconds=90)


def test_a_token_dies_when_a_run_begins_and_a_later_one_lives(faults: Faults) -> None:
    faults.minted("early")
    put(faults, "token:dies=install*1")
    assert not faults.killed("early")
    faults.run_begins()
    faults.minted("late")
    faults.run_begins()
    assert (faults.killed("early"), faults.killed("older"), faults.killed("late")) == (True, True, False)


def test_all_tokens_die_now_and_live_again_when_the_fault_ends(faults: Faults) -> None:
    faults.minted("early")
    put(faults, "token:dies=now")
    faults.minted("late")
    assert (faults.killed("early"), faults.killed("late")) == (True, False)
    put(faults)
    assert not faults.killed("early")


def test_a_token_dies_some_time_after_it_was_minted(faults: Faults, clock: Clock) -> None:
    put(faults, "token:dies=30s")
    faults.minted("t")
    clock.now += 29.9
    assert not faults.killed("t")
    clock.now += 0.1
    assert faults.killed("t")


def test_log_groups_are_missing_for_a_time_after_the_next_run_begins(faults: Faults, clock: Clock) -> None:
    put(faults, "logs:missing=30")
    clock.now += 100
    assert faults.logs_missing()
    faults.run_begins()
    clock.now += 29
    faults.run_begins()
    assert faults.logs_missing()
    clock.now += 1
    assert not faults.logs_missing()
    put(faults, "logs:missing=ever")
    faults.run_begins()
    clock.now += 1e9
    assert faults.logs_missing()
