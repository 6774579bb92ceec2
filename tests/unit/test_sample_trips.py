import csv
from collections import Counter
from pathlib import Path

import pytest

from glue_jobs.sample_trips import COMPANIES, MISFITS, main, write_sample


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_sample(tmp_path / name, 100, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_what_the_sample_says_of_itself_is_true(tmp_path: Path) -> None:
    sample = write_sample(tmp_path / "trips.csv", 500)
    with (tmp_path / "trips.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    fitting = rows[: -len(MISFITS)]

    assert header == ["year", "week", "app", "trips"]
    assert (sample.rows, sample.misfits) == (len(rows), len(MISFITS))
    assert sample.trips == sum(int(row[3]) for row in fitting)
    assert sample.partitions == len(Counter((row[0], row[2]) for row in fitting))
    assert {row[2] for row in fitting} == set(COMPANIES)


@pytest.mark.parametrize("character", [*",\"'/\\=%&#:?*[{^\n", "É", "東"])
def test_the_companies_have_every_awkward_character(character: str) -> None:
    assert any(character in company for company in COMPANIES)


def test_fewer_rows_than_misfits_are_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "trips.csv"), "--rows", "3"]) == 2
    assert "3 rows are too few" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "trips.csv"), "--rows", "40"]) == 0
    assert "40 rows, 8 of them do not fit" in capsys.readouterr().out
    assert (tmp_path / "trips.csv").is_file()
