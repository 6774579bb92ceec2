from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from glue_pkgmgr.core.budget import Budget


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_free_and_then_turns_come_at_the_rate() -> None:
    budget = Budget(2, 3, Seconds())
    assert [budget.turn() - 100 for _ in range(6)] == [0, 0, 0, 0.5, 1.0, 1.5]


def test_what_was_not_used_is_saved_up_to_the_burst_only() -> None:
    seconds = Seconds()
    budget = Budget(2, 3, seconds)
    for _ in range(3):
        budget.turn()
    seconds.now += 60
    assert [budget.turn() - seconds.now for _ in range(4)] == [0, 0, 0, 0.5]


def test_several_calls_take_as_much_as_one_by_one() -> None:
    budget = Budget(1, 2, Seconds())
    assert [budget.turn(2) - 100 for _ in range(3)] == [0, 2, 4]


def test_no_turn_is_given_twice_to_threads() -> None:
    budget = Budget(10, 1, Seconds())
    with ThreadPoolExecutor(8) as pool:
        turns = sorted(pool.map(lambda _: budget.turn(), range(400)))
    assert len({round(turn, 6) for turn in turns}) == 400
    assert round(turns[-1] - turns[0], 6) == 39.9
