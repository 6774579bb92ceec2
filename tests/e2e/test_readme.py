"""The README tells the truth: its commands are run, in order, in a copy of the checkout, and its words compared.

A fenced block with the info string `console` is run: each line that starts with `$ ` is typed into a shell whose
environment leads to the stand-in, and what the terminal then shows has to be the lines below it. `…` stands for
any text, alone on a line for any number of lines. `console not-run-here` marks what is shown elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from glue_pkgmgr.cli.help_page import VERBS
from tests.e2e.command import LONGEST, ROOT
from tests.e2e.readme import README, blocks
from tests.stand_in import naming

# A machine with an empty cache fetches Spark and the releases of the Glue image first.
pytestmark = pytest.mark.timeout(900)

_NOT_COPIED = (".git", ".venv", ".glue-pkgmgr", ".*_cache", ".hypothesis", "__pycache__", "dist", "locks", "tests")
_PROMPT = "$ "
_DEMO = "python -m glue_pkgmgr.demo"


@dataclass(frozen=True)
class Shown:
    """A command of the README, the line it stands in, and what a terminal shows after it."""

    line: int
    command: str
    output: list[str]


def commands(info: str) -> list[Shown]:
    """Return the commands in the blocks with this info string, in order."""
    found: list[Shown] = []
    for first, text in blocks(info):
        for number, line in enumerate(text.splitlines(), first):
            if line.startswith(_PROMPT):
                found.append(Shown(number, line.removeprefix(_PROMPT), []))
            else:
                found[-1].output.append(line)
    return found


def pattern(lines: list[str]) -> re.Pattern[str]:
    """Return what output has to look like."""
    parts = []
    for line in lines:
        if line.strip() == "…":
            parts.append("(?:.*\n)*?")
        else:
            parts.append("[^\n]*".join(re.escape(piece) for piece in line.split("…")) + "\n")
    return re.compile("".join(parts))


@dataclass
class Shell:
    """Runs the commands of the README one by one."""

    folder: Path
    environment: dict[str, str]

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end; its stderr is in its stdout, as on a terminal."""
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    def enter_stand_in(self) -> None:
        """Take the variables that `local exec` gives a shell."""
        told = self.type(
            f"glue-pkgmgr local exec -- {sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        )
        self.environment = json.loads(told.stdout)

    def note_latest_run(self) -> None:
        """Set RUN as the README uses it."""
        runs = json.loads(self.type("glue-pkgmgr --json runs").stdout)["runs"]
        self.environment["RUN"] = runs[0]["run"]


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Return a shell in a copy of the checkout; whatever was started in it is ended."""
    folder = tmp_path_factory.mktemp("readme") / "checkout"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    shell = Shell(folder, {**kept, "PATH": path, "PYTHONPATH": str(folder), "AWS_EC2_METADATA_DISABLED": "true"})
    yield shell
    shell.type("glue-pkgmgr local down")
    assert naming(folder) == []


def test_every_command_shows_what_the_readme_says(shell):
    for shown in commands("console"):
        finished = shell.type(shown.command)
        if finished.returncode or not pattern(shown.output).fullmatch(finished.stdout):
            status = f"exit status {finished.returncode}"
            pytest.fail(f"README.md:{shown.line}: $ {shown.command}\n{finished.stdout}{status}", pytrace=False)
        if shown.command == "glue-pkgmgr local up":
            shell.enter_stand_in()
        if shown.command.startswith("glue-pkgmgr launch"):
            shell.note_latest_run()


def test_the_demo_shows_what_the_readme_says(shell):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^demo:.*\n\t@\$\(PYTHON\) -m glue_pkgmgr\.demo ", makefile, re.MULTILINE)
    finished = shell.type(_DEMO)
    assert finished.returncode == 0, finished.stdout
    [shown] = [one for one in commands("console not-run-here") if one.command == "make demo"]
    if "Glue 5.1: Python 3.11 found" not in finished.stdout:
        pytest.skip("the README shows the demo with Python 3.11, which this machine lacks")
    # Times differ, and what is made once is made the first time.
    expected = [re.sub(r" +\d+\.\d$", "…", line) for line in shown.output]
    made_once = re.compile(r"^(?:making|fetching) .*\n", re.MULTILINE)
    assert pattern(expected).fullmatch(made_once.sub("", finished.stdout)), finished.stdout


def test_every_verb_has_a_section_in_the_order_of_a_day():
    verbs = README.partition("\n## Verbs\n")[2].partition("\n## ")[0]
    sections = re.findall(r"^### (\S+)$", verbs, re.MULTILINE)
    assert sorted(sections) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(verb):
    assert any(re.search(rf"\bglue-pkgmgr (--\w+ )?{verb}\b", one.command) for one in commands("console"))


def test_the_python_examples_are_python_that_names_what_exists():
    import glue_pkgmgr

    for line, text in blocks("python"):
        compile(text, f"README.md:{line}", "exec")
        for name in re.findall(r"\bproject\.(\w+)\(", text):
            assert callable(getattr(glue_pkgmgr.Project, name)), name
    listed = README.partition("## From Python")[2].partition("\n## ")[0]
    methods = re.search(r"^`approve`, .*?\.\n\n", listed, re.MULTILINE | re.DOTALL)
    assert methods is not None
    public = {name for name in vars(glue_pkgmgr.Project) if not name.startswith("_")} - {"load"}
    assert set(re.findall(r"`(\w+)`", methods[0])) == public


def test_the_exit_statuses_are_those_of_the_errors():
    from glue_pkgmgr import errors

    found = re.findall(r"^\| (\d+) \|.*\| (`\w+`(?:, `\w+`)*) \|$", README, re.MULTILINE)
    rows = {name: status for status, names in found for name in re.findall(r"\w+", names)}
    ours = {name: str(one.exit_code) for name, one in vars(errors).items() if name in rows}
    assert {name: status for name, status in rows.items() if name != "KeyboardInterrupt"} == ours
    assert len(ours) == 9


def test_every_setting_is_explained():
    source = (ROOT / "glue_pkgmgr" / "settings.py").read_text(encoding="utf-8")
    keys = set(re.findall(r'table\.(?:string|integer|strings|string_table)\("([\w-]+)"', source))
    keys |= {"domain", "owner", "region", "store", "repository"}
    explained = README.partition("\n## Settings\n")[2].partition("\n## ")[0]
    assert {key for key in keys if f"`{key}`" not in explained} == set()


def test_links_within_the_page_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) <= anchors
