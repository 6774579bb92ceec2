"""A refusal for want of a permission: which one, and the statement that would give it.

Source: IAM User Guide, "Troubleshoot access denied error messages": "User: … is not authorized to perform: … on
resource: … because …".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_REFUSAL = re.compile(
    r"not authorized to perform:? (?P<action>[a-z0-9-]+:[A-Za-z0-9*]+)"
    r"(?: on (?:the )?resource:? (?P<resource>\S+))?"
)
_OF_API = re.compile(r"API: (?P<action>[a-z0-9-]+:[A-Za-z0-9*]+) Access Denied")
_BOUNDED = (
    ("explicit deny in a service control policy", "a service control policy of the organization denies it"),
    ("explicit deny in a permissions boundary", "the permissions boundary of the caller denies it"),
    ("no permissions boundary allows", "the permissions boundary of the caller does not allow it"),
    ("with an explicit deny", "a policy denies it explicitly: there no further permission helps"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """A permission that is missing; `resource` is `*` where it was not told.

    `because` is the cause where a policy that allows it would not help, else empty.
    """

    action: str
    resource: str
    because: str = ""

    @property
    def statement(self) -> str:
        """The statement that an identity policy of the caller needs, as JSON."""
        return json.dumps({"Effect": "Allow", "Action": self.action, "Resource": self.resource})

    @property
    def advice(self) -> str:
        """What to do about it."""
        return self.because or f"the caller's policy needs the statement {self.statement}"


def denied(text: str, resource: str = "*") -> Denied | None:
    """Return the permission that `text` of AWS says is missing; None if it says nothing of the kind.

    `resource` is what the call was about, where the text does not say.
    """
    found = _REFUSAL.search(text) or _OF_API.search(text)
    if found is None:
        return None
    told = found.groupdict().get("resource")
    because = next((ours for theirs, ours in _BOUNDED if theirs in text), "")
    return Denied(action=found["action"], resource=told.rstrip(".,;)") if told else resource, because=because)
