import pytest
from glueutils.partitions import NULL_PARTITION, Partition, escape


@pytest.mark.parametrize(
    ("value", "directory"),
    [
        ("plain", "plain"),
        ("A/B", "A%2FB"),
        ("A%2FB", "A%252FB"),
        ('"Q" = 1: #?*', "%22Q%22 %3D 1%3A %23%3F%2A"),
        ("O'HARA\\{[]^", "O%27HARA%5C%7B%5B%5D%5E"),
        ("a\nb\x7f", "a%0Ab%7F"),
        ("CAFÉ, 東京 & }~", "CAFÉ, 東京 & }~"),
    ],
)
def test_exactly_the_characters_that_hive_escapes_are_escaped(value: str, directory: str) -> None:
    assert escape(value) == directory


def test_a_path_names_each_column_with_its_value_in_the_tables_order() -> None:
    assert Partition.of(["2015", "A/B"]).path(["Year", "app"]) == "Year=2015/app=A%2FB"


@pytest.mark.parametrize("value", [None, ""])
def test_null_and_the_empty_text_are_one_partition(value: str | None) -> None:
    assert Partition.of([value, "x"]).values == (NULL_PARTITION, "x")


def test_a_path_for_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Partition.of(["2015"]).path(["year", "app"])
