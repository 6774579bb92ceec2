"""What moto's CloudWatch Logs needs so that the log of one job run is not mixed with those of others.

A correction of moto 5.2.5, with a test that fails when moto no longer needs it.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

_PREFIX, _NAMES = "logStreamNamePrefix", "logStreamNames"


def correct() -> None:
    """Make FilterLogEvents heed `logStreamNamePrefix`, in this process. Doing it again changes nothing."""
    # Any: what is replaced here is not meant to be, and moto's types say so.
    responses: Any = import_module("moto.logs.responses")
    original = responses.LogsResponse.filter_log_events
    if getattr(original, "heeds_prefix", False):
        return

    def filter_log_events(self: Any) -> str:
        prefix, get = self._get_param(_PREFIX), self._get_param
        group = self.logs_backend.groups.get(get("logGroupName"))
        if not prefix or group is None:
            return str(original(self))
        names = [name for name in group.streams if name.startswith(prefix)]
        if not names:  # to moto, no names are all names
            return json.dumps({"events": [], "searchedLogStreams": []})
        self._get_param = lambda name, *default: names if name == _NAMES else get(name, *default)
        return str(original(self))

    filter_log_events.heeds_prefix = True  # type: ignore[attr-defined] # marks the replacement
    responses.LogsResponse.filter_log_events = filter_log_events
