"""Tools that start job runs, each against the stand-in of the session."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Road
from tests.e2e.orchestrators.tool import Tool, interpreter


@pytest.fixture(scope="session")
def airflow(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """Return Airflow with an empty home folder: no database yet."""
    home = tmp_path_factory.mktemp("airflow")
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return Tool(road, interpreter("airflow"), home, variables)


@pytest.fixture(scope="session")
def dagster(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """Return Dagster, which keeps what happens in its home folder."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return Tool(road, interpreter("dagster"), home, {"DAGSTER_HOME": str(home)})
