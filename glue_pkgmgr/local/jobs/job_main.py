"""Runs a job script in the job's own Python, and keeps the exception that ended it.

    python job_main.py REPORT SCRIPT ARGUMENT…

The script sees itself started as `python SCRIPT ARGUMENT…`. If it fails, REPORT gets what Glue shows as the
run's error message. This file is copied beside the job: it imports nothing of ours and runs on Python 3.7.
"""

from __future__ import annotations

import runpy
import sys
import traceback
from pathlib import Path
from types import TracebackType


def main() -> None:
    """Run the script of the command line; leave as it leaves."""
    report, script = sys.argv[1:3]
    del sys.argv[:2]
    sys.path[0] = str(Path(script).parent)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as e:
        if e.code not in (None, 0):
            _write(report, f"SystemExit: {e.code}")
        raise
    except BaseException as e:
        _write(report, f"{type(e).__name__}: {e}")
        sys.stdout.flush()
        traceback.print_exception(type(e), e, _from_script(e.__traceback__, script))
        sys.exit(1)


def _write(report: str, message: str) -> None:
    Path(report).write_text(message, encoding="utf-8", errors="replace")


def _from_script(trace: TracebackType | None, script: str) -> TracebackType | None:
    """Leave out the frames above the script's own: they are ours, not the author's."""
    while trace is not None and trace.tb_frame.f_code.co_filename != script:
        trace = trace.tb_next
    return trace


if __name__ == "__main__":
    main()
