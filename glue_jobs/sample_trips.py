"""A small CSV of weekly trips to try the taxi job on: made up, and the same for the same seed.

    python sample_trips.py OUT.csv [--rows N] [--seed N]

The companies have the names that break partition paths, and a few rows do not fit.
"""

import argparse
import csv
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COMPANIES = (
    "ABBOTT CAR SERVICE",
    "510 CAR SERVICE CORP",
    "510",
    "BEACON CAR & LIMO, INC",
    "C/S DISPATCH",
    "DELTA = EPSILON",
    "100% RIDES",
    "A%2FB LIMO",
    "O'HARA'S PLACE INC.",
    'THE "QUEENS" LIMO CO.',
    "CAFÉ ÉTOILE VOITURES",
    "ŻÓŁTA TAKSÓWKA",
    "東京ハイヤー",
    "FIRST: CLASS? YES!",
    "BACK\\SLASH BASES",
    "[BRACKET] {BRACE} ^ RIDES",
    "HASH #1",
    "STAR * LIMO",
    "TWO\nLINES LTD.",
    "  SPACES AROUND  ",
    "null",
    "lower case cars",
    "LOWER CASE CARS",
    "UBER, OR NOT",
)

MISFITS = (
    "2015,1,TOO FEW COLUMNS",
    "2015,1,TOO,MANY,COLUMNS,9",
    "2015,1,NOT A NUMBER,many",
    "2015,1,HALF A TRIP,1.5",
    "2015,1,OWED TRIPS,-3",
    "2015,1,,12",
    "2015,60,NO SUCH WEEK,7",
    ",2,NO YEAR,7",
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a sample holds: its rows, those of them that do not fit, the partitions and trips of the others."""

    rows: int
    misfits: int
    partitions: int
    trips: int


def write_sample(path: Path, rows: int = 2000, seed: int = 2015) -> Sample:
    """Write `rows` rows, the last of them `MISFITS`, to `path`, and return what is in it.

    Raises: ValueError if `rows` leaves no room for the misfits. OSError.
    """
    if rows < len(MISFITS):
        raise ValueError(f"{rows} rows are too few; the rows that do not fit alone are {len(MISFITS)}")
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    partitions: set[tuple[int, str]] = set()
    trips = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("year", "week", "app", "trips"))
        for place in range(rows - len(MISFITS)):
            year, company = chance.choice((2015, 2016)), COMPANIES[place % len(COMPANIES)]
            count = chance.randint(0, 5000)
            writer.writerow((year, chance.randint(1, 52), company, count))
            partitions.add((year, company))
            trips += count
        file.writelines(f"{line}\r\n" for line in MISFITS)
    return Sample(rows=rows, misfits=len(MISFITS), partitions=len(partitions), trips=trips)


def main(argv: Sequence[str]) -> int:
    """Write the sample that the command line asks for, and say what is in it. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="sample_trips.py", description="Write a small CSV of weekly trips.")
    parser.add_argument("out", type=Path, metavar="OUT.csv")
    parser.add_argument("--rows", type=int, default=2000, help="rows, without the header (default: 2000)")
    parser.add_argument("--seed", type=int, default=2015, help="another seed, other numbers (default: 2015)")
    options = parser.parse_args(argv)
    try:
        sample = write_sample(options.out, options.rows, options.seed)
    except (ValueError, OSError) as error:
        print(f"sample_trips: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {sample.rows} rows, {sample.misfits} of them do not fit; {sample.trips} trips")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
