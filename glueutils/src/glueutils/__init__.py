"""Partitioned Parquet with its Glue Data Catalog table, from Glue jobs and from plain Spark."""

__version__ = "0.2.0"
