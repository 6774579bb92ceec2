"""`stack synth`: the template on stdout, what it comes to on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glue_pkgmgr.cli.main import main
from tests.unit.infra.plans import SETTINGS, made


@pytest.fixture
def config(tmp_path: Path) -> str:
    text = SETTINGS.format(
        region="us-east-1", stack='regions = ["us-east-1", "eu-west-1"]', codeartifact="", policy=""
    )
    (tmp_path / "glue-pkgmgr.toml").write_text(text)
    return str(tmp_path / "glue-pkgmgr.toml")


def test_the_template_is_all_that_is_on_stdout(config, capsys):
    for options in ((), ("--json",)):
        assert main(["--config", config, *options, "stack", "synth"]) == 0
        told = capsys.readouterr()
        assert json.loads(told.out) == made('regions = ["us-east-1", "eu-west-1"]')
        assert "resources, " in told.err


def test_another_region_is_one_of_the_settings(config, capsys):
    assert main(["--config", config, "stack", "synth", "--region", "eu-west-1"]) == 0
    assert "staging-eu-west-1" in capsys.readouterr().out
    assert main(["--config", config, "stack", "synth", "--region", "eu-north-1"]) == 2
    assert "no stack in eu-north-1 by the settings; known: us-east-1, eu-west-1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("region", "doubted"),
    [
        ("us-east-1", False),
        ("eu-south-1", False),
        ("eu-south-2", True),
        ("cn-north-1", True),
        ("us-gov-west-1", True),
    ],
)
def test_a_region_that_is_not_known_to_have_codeartifact_is_told(tmp_path, capsys, region, doubted):
    path = tmp_path / "glue-pkgmgr.toml"
    path.write_text(SETTINGS.format(region=region, stack="", codeartifact="", policy=""))
    assert main(["--config", str(path), "stack", "synth"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == made(region=region)
    assert (f"CodeArtifact is not known to be in {region}" in told.err) is doubted
