"""What moto's Glue needs so that connections can be changed and removed: UpdateConnection, DeleteConnection.

An addition to moto 5.2.5, with a test that fails when moto has it itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def correct() -> None:
    """Give moto both operations, in this process. Doing it again changes nothing.

    Source: AWS Glue API, UpdateConnection, DeleteConnection: EntityNotFoundException where there is none.
    """
    # Any: what is added here is not foreseen, and moto's types say so.
    responses: Any = import_module("moto.glue.responses")
    models: Any = import_module("moto.glue.models")
    if hasattr(responses.GlueResponse, "delete_connection"):
        return

    def delete_connection(self: Any) -> Any:
        name = self._get_param("ConnectionName")
        self.glue_backend.get_connection("", name, "")  # an error of the API if there is none
        del self.glue_backend.connections[name]
        return responses.ActionResult({})

    def update_connection(self: Any) -> Any:
        name, backend = self._get_param("Name"), self.glue_backend
        before = backend.get_connection("", name, "")
        wanted = {**self._get_param("ConnectionInput"), "Name": name}
        made = models.FakeConnection(backend, before.catalog_id, wanted, backend.get_tags(before.arn))
        made.created_time = before.created_time
        backend.connections[name] = made
        return responses.ActionResult({})

    responses.GlueResponse.delete_connection = delete_connection
    responses.GlueResponse.update_connection = update_connection
