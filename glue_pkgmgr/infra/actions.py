"""Actions that both a role and the endpoint on its way have to allow."""

from __future__ import annotations

CATALOG = (
    "glue:BatchCreatePartition",
    "glue:BatchUpdatePartition",
    "glue:CreateTable",
    "glue:GetDatabase",
    "glue:GetTable",
    "glue:UpdateTable",
)
"""What `glueutils` calls to register partitioned Parquet; the databases are made by the stack."""

OBJECTS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
"""What Spark does with objects. Large ones are sent in parts; what was sent of a failed one is taken back."""

LOGS = ("logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
"""What a job run does with its log groups. Source: AWS Glue Developer Guide, "Logging for AWS Glue jobs"."""

LOOK_FOR_RELEASES = ("codeartifact:ListPackageVersionAssets", "codeartifact:ListPackageVersions")
"""What a launch calls to see whether every locked file is in the approved repository."""

START = ("glue:StartJobRun",)
WATCH = ("glue:GetJob", "glue:GetJobRun", "glue:GetJobRuns")
STOP = ("glue:BatchStopJobRun",)
"""What is called to start a run, to look on, to end one."""
