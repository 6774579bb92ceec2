"""What moto's Glue needs so that job definitions can be changed: UpdateJob.

An addition to moto 5.2.5, with a test that fails when moto has it itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def correct() -> None:
    """Give moto UpdateJob, in this process. Doing it again changes nothing.

    Source: AWS Glue API, UpdateJob: the definition becomes what is given, nothing of the one before stays.
    """
    # Any: what is added here is not foreseen, and moto's types say so.
    responses: Any = import_module("moto.glue.responses")
    if hasattr(responses.GlueResponse, "update_job"):
        return

    def update_job(self: Any) -> Any:
        name, update = self._get_param("JobName"), self._get_param("JobUpdate")
        before = self.glue_backend.get_job(name)  # an error of the API if there is none
        # CreateJob of moto puts the definition in the place of one of that name, and reads it from here.
        wanted = {**update, "Name": name, "Tags": self.glue_backend.get_tags(before.arn)}
        self._get_param = self._get_int_param = wanted.get
        self.create_job()
        changed = self.glue_backend.get_job(name)
        changed.created_on, changed.job_runs = before.created_on, before.job_runs
        return responses.ActionResult({"JobName": name})

    responses.GlueResponse.update_job = update_job
