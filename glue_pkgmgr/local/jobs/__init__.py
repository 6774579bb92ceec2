"""Glue job runs that really run: environment, pip, Spark, logs."""
