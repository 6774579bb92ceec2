"""Plans made of small settings, without a file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from glue_pkgmgr.infra.plan import StackPlan
from glue_pkgmgr.infra.stack import template
from glue_pkgmgr.settings import Settings, parse_settings
from glue_pkgmgr.verbs.stack_plan import stack_plan

SETTINGS = """
[codeartifact]
domain = "acme"
owner = "111122223333"
region = "{region}"
store = "pypi-store"
repository = "approved"
{codeartifact}

[policy]
internal = ["glueutils", "house-style"]
{policy}

[bundles.taxi]
modules = ["boto3"]
glue-version = "5.1"

[jobs.taxi]
name = "taxi-job"
script = "s3://staging/scripts/taxi.py"
bundle = "taxi"
staging = "s3://staging/area/"
arguments = {{ S3_BUCKET = "trips", GLUE_DATABASE = "trips_db" }}

[jobs.tolls]
name = "tolls-job"
script = "s3://staging/scripts/tolls.py"
bundle = "taxi"
staging = "s3://staging/area/"
role = "shared/taxi-job"

[records]
place = "s3://audit/records"

[stack]
{stack}
"""


def settings(stack: str = "", *, region: str = "us-east-1", codeartifact: str = "", policy: str = "") -> Settings:
    text = SETTINGS.format(region=region, stack=stack, codeartifact=codeartifact, policy=policy)
    return parse_settings(tomllib.loads(text), Path("/project/glue-pkgmgr.toml"))


def plan(stack: str = "", *, in_region: str | None = None, **changes: str) -> StackPlan:
    return stack_plan(settings(stack, **changes), in_region)


def made(stack: str = "", *, in_region: str | None = None, **changes: str) -> dict[str, Any]:
    return template(plan(stack, in_region=in_region, **changes))
