"""`write_to_s3` against stand-ins that record what awsglue's objects are told: awsglue exists on Glue only."""

from typing import Any

import pytest
from glueutils.writer import write_to_s3


class RecordingSink:
    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def setCatalogInfo(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("setCatalogInfo", args, kwargs))

    def setFormat(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("setFormat", args, kwargs))

    def writeFrame(self, frame: str) -> str:
        self.calls.append(("writeFrame", (frame,), {}))
        return f"{frame}_errors"


class RecordingGlueContext:
    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.sink = RecordingSink()

    def getSink(self, **options: Any) -> RecordingSink:
        self.options = options
        return self.sink


def write(outputformat: str | None = None) -> tuple[RecordingGlueContext, Any]:
    context = RecordingGlueContext()
    more = {} if outputformat is None else {"outputformat": outputformat}
    errors = write_to_s3(context, "frame", "s3://bucket/trips/", "trips", "rides", ("year", "app"), **more)
    return context, errors


@pytest.mark.parametrize("outputformat", [None, "glueparquet", "parquet"])
def test_parquet_is_written_by_glues_own_writer_which_updates_the_catalogue(outputformat: str | None) -> None:
    context, errors = write(outputformat)

    assert context.options == {
        "connection_type": "s3",
        "path": "s3://bucket/trips/",
        "enableUpdateCatalog": True,
        "updateBehavior": "UPDATE_IN_DATABASE",
        "partitionKeys": ["year", "app"],
        "compression": "snappy",
        "transformation_ctx": "write_to_s3_rides_trips",
    }
    assert context.sink.calls == [
        ("setCatalogInfo", (), {"catalogDatabase": "rides", "catalogTableName": "trips"}),
        ("setFormat", ("parquet",), {"useGlueParquetWriter": True}),
        ("writeFrame", ("frame",), {}),
    ]
    assert errors == "frame_errors"


@pytest.mark.parametrize("outputformat", ["json", "csv", "avro"])
def test_other_formats_get_no_option_of_parquet(outputformat: str) -> None:
    context, _ = write(outputformat)
    assert "compression" not in context.options
    assert ("setFormat", (outputformat,), {}) in context.sink.calls


def test_a_format_that_cannot_update_the_catalogue_is_refused_before_glue_is_asked() -> None:
    with pytest.raises(ValueError, match="'orc' cannot update the catalogue; use one of avro, csv"):
        write("orc")
