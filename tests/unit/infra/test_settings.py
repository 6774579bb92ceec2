"""The table `[stack]` of the settings file: what it may have, and what is said of anything else."""

from __future__ import annotations

import pytest

from glue_pkgmgr.errors import SettingsError
from tests.unit.infra.plans import settings


def test_without_a_word_the_stack_is_in_the_region_of_the_packages():
    stack = settings(region="eu-west-1").stack
    assert (stack.regions, stack.name, stack.cidr, stack.network) == (
        ("eu-west-1",),
        "glue-pkgmgr",
        "10.0.0.0/24",
        None,
    )
    assert (stack.endpoints, stack.keep, stack.imports, stack.log_days) == (True, False, False, 365)


@pytest.mark.parametrize(
    ("stack", "told"),
    [
        ('nam = "x"', r"stack: unknown key 'nam'; did you mean 'name'\?"),
        ('cidr = "10.0.0.0/40"', r"glue-pkgmgr\.toml: stack: cidr: '10\.0\.0\.0/40'"),
        ('subnets = ["subnet-0a1b2c3d"]', "stack: subnets without a vpc; name the one they are of"),
        ('vpc = "vpc-0a1b2c3d"\ncidr = "10.0.0.0/24"', "cidr is of a VPC that is made, and vpc names one"),
        ('vpc = "vpc-0a1b2c3d"', "stack: subnets is empty"),
        ('endpoints = "none"', "endpoints: 'none' is none of create, existing"),
        ('when-destroyed = "keeep"', r"did you mean 'keep'\?"),
        ("tags = { team = 5 }", "tags.team: 5 is not a text; tags are texts"),
        ("log-days = 0", "log-days: 0 is below 1"),
        ("regions = 5", "regions: 5 is not a list"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place(stack, told):
    with pytest.raises(SettingsError, match=told):
        settings(stack)
