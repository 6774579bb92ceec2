"""The catalogue against moto's, in this process: botocore checks every request, nothing leaves it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from glueutils.catalog import CatalogError, Column, GlueCatalog, PartitionedTable
from glueutils.partitions import Partition
from moto import mock_aws

TRIPS = PartitionedTable(
    database="rides",
    name="trips",
    location="s3://bucket/trips",
    columns=(Column("week", "int"), Column("trips", "bigint")),
    partition_columns=(Column("Year", "int"), Column("app", "string")),
)


def glue_client() -> Any:
    return boto3.client(
        "glue", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test", config=Config()
    )


@pytest.fixture
def glue() -> Iterator[Any]:
    with mock_aws():
        yield glue_client()


@pytest.fixture
def catalog(glue: Any) -> GlueCatalog:
    return GlueCatalog(glue)


def partitions_of(glue: Any, table: PartitionedTable) -> dict[tuple[str, ...], str]:
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=table.database, TableName=table.name)
    return {
        tuple(found["Values"]): found["StorageDescriptor"]["Location"]
        for page in pages
        for found in page["Partitions"]
    }


def table_in(glue: Any) -> dict[str, Any]:
    found: dict[str, Any] = glue.get_table(DatabaseName="rides", Name="trips")["Table"]
    return found


def columns_in(glue: Any) -> dict[str, str]:
    return {column["Name"]: column["Type"] for column in table_in(glue)["StorageDescriptor"]["Columns"]}


def test_database_table_and_partitions_are_created(glue: Any, catalog: GlueCatalog) -> None:
    catalog.check(TRIPS)
    catalog.register(TRIPS, [Partition.of(["2015", "A/B"]), Partition.of([None, "510"])])

    table = table_in(glue)
    assert table["StorageDescriptor"]["Location"] == "s3://bucket/trips/"
    assert columns_in(glue) == {"week": "int", "trips": "bigint"}
    assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("year", "int"), ("app", "string")]
    assert table["Parameters"]["classification"] == "parquet"
    assert partitions_of(glue, TRIPS) == {
        ("2015", "A/B"): "s3://bucket/trips/Year=2015/app=A%2FB",
        ("__HIVE_DEFAULT_PARTITION__", "510"): "s3://bucket/trips/Year=__HIVE_DEFAULT_PARTITION__/app=510",
    }


def test_partitions_already_there_are_updated_and_the_others_left(glue: Any, catalog: GlueCatalog) -> None:
    catalog.register(TRIPS, [Partition.of(["2014", "OLD"]), Partition.of(["2015", "SAME"])])
    wrong = {"Values": ["2015", "SAME"], "StorageDescriptor": {"Location": "s3://bucket/elsewhere"}}
    glue.update_partition(
        DatabaseName="rides", TableName="trips", PartitionValueList=["2015", "SAME"], PartitionInput=wrong
    )

    catalog.register(TRIPS, [Partition.of(["2015", "SAME"]), Partition.of(["2015", "NEW"])])

    assert partitions_of(glue, TRIPS) == {
        ("2014", "OLD"): "s3://bucket/trips/Year=2014/app=OLD",
        ("2015", "SAME"): "s3://bucket/trips/Year=2015/app=SAME",
        ("2015", "NEW"): "s3://bucket/trips/Year=2015/app=NEW",
    }


def test_no_call_carries_more_than_a_hundred_partitions(glue: Any, catalog: GlueCatalog) -> None:
    sizes = []
    for operation, list_name in (
        ("BatchCreatePartition", "PartitionInputList"),
        ("BatchUpdatePartition", "Entries"),
    ):
        glue.meta.events.register(
            f"provide-client-params.glue.{operation}",
            lambda params, list_name=list_name, **_: sizes.append(len(params[list_name])),
        )
    many = [Partition.of(["2015", str(number)]) for number in range(250)]
    catalog.register(TRIPS, many)
    catalog.register(TRIPS, many)

    assert sizes == [100, 100, 50, 100, 100, 100, 100, 50, 50]
    assert len(partitions_of(glue, TRIPS)) == 250


def test_new_columns_are_added_and_missing_ones_kept(glue: Any, catalog: GlueCatalog) -> None:
    catalog.register(TRIPS, [])
    table = table_in(glue)
    kept = {key: table[key] for key in ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")}
    glue.update_table(DatabaseName="rides", TableInput={**kept, "Description": "by the platform team"})

    changed = replace(TRIPS, columns=(Column("trips", "bigint"), Column("fare", "double")))
    catalog.check(changed)
    catalog.register(changed, [])

    assert columns_in(glue) == {"week": "int", "trips": "bigint", "fare": "double"}
    assert table_in(glue)["Description"] == "by the platform team"


def test_a_table_that_has_all_columns_is_not_touched(glue: Any, catalog: GlueCatalog) -> None:
    catalog.register(TRIPS, [])
    updates = []
    glue.meta.events.register("provide-client-params.glue.UpdateTable", lambda params, **_: updates.append(params))
    catalog.register(TRIPS, [Partition.of(["2015", "A"])])
    assert updates == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"columns": (Column("trips", "string"),)}, "column 'trips' of rides.trips is bigint in the catalogue"),
        ({"location": "s3://other/trips"}, "lies at 's3://bucket/trips', not 's3://other/trips'"),
        ({"partition_columns": (Column("year", "int"),)}, "partitioned by year int, app string, not year int;"),
    ],
)
def test_a_table_that_cannot_become_the_new_one_is_refused_and_left(
    glue: Any, catalog: GlueCatalog, changes: dict[str, Any], told: str
) -> None:
    catalog.register(TRIPS, [])
    before = table_in(glue)
    for attempt in (catalog.check, lambda table: catalog.register(table, [])):
        with pytest.raises(CatalogError) as caught:
            attempt(replace(TRIPS, **changes))
        assert told in str(caught.value)
    assert table_in(glue) == before


def test_a_table_of_other_files_is_refused(glue: Any, catalog: GlueCatalog) -> None:
    glue.create_database(DatabaseInput={"Name": "rides"})
    glue.create_table(DatabaseName="rides", TableInput={"Name": "trips", "TableType": "VIRTUAL_VIEW"})
    with pytest.raises(CatalogError, match="no table of Parquet files"):
        catalog.check(TRIPS)


def test_a_partition_that_glue_does_not_take_is_told_with_its_reason() -> None:
    glue = glue_client()
    detail = {"ErrorCode": "InternalServiceException", "ErrorMessage": "try later"}
    with Stubber(glue) as stub:
        stub.add_response("get_database", {"Database": {"Name": "rides"}})
        stub.add_client_error("get_table", "EntityNotFoundException")
        stub.add_response("create_table", {})
        stub.add_response(
            "batch_create_partition", {"Errors": [{"PartitionValues": ["2015", "A"], "ErrorDetail": detail}]}
        )
        with pytest.raises(CatalogError, match=r"\['2015', 'A'\]: InternalServiceException: try later"):
            GlueCatalog(glue).register(TRIPS, [Partition.of(["2015", "A"])])


def test_a_refusal_of_glue_is_told_with_the_operation() -> None:
    glue = glue_client()
    with Stubber(glue) as stub:
        stub.add_client_error("get_table", "AccessDeniedException", "no glue:GetTable for you")
        with pytest.raises(CatalogError, match=r"GetTable operation: no glue:GetTable for you"):
            GlueCatalog(glue).check(TRIPS)


def test_someone_else_creating_database_and_table_meanwhile_does_no_harm() -> None:
    glue = glue_client()
    serde = {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"}
    theirs = {
        "Name": "trips",
        "PartitionKeys": [{"Name": "year", "Type": "int"}, {"Name": "app", "Type": "string"}],
        "StorageDescriptor": {
            "Location": "s3://bucket/trips/",
            "SerdeInfo": serde,
            "Columns": [{"Name": "week", "Type": "int"}, {"Name": "trips", "Type": "bigint"}],
        },
    }
    with Stubber(glue) as stub:
        stub.add_client_error("get_database", "EntityNotFoundException")
        stub.add_client_error("create_database", "AlreadyExistsException")
        stub.add_client_error("get_table", "EntityNotFoundException")
        stub.add_client_error("create_table", "AlreadyExistsException")
        stub.add_response("get_table", {"Table": theirs})
        GlueCatalog(glue).register(TRIPS, [])
        stub.assert_no_pending_responses()
