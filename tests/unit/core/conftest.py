from __future__ import annotations

from hypothesis import settings

# The same examples each time and no clock: a run tells about the change, not about the machine.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("repeatable")
