"""Jobs in a VPC: the endpoints without which they reach neither their packages nor their data."""

from __future__ import annotations

from collections.abc import Iterator

from glue_pkgmgr.infra.lint.intrinsics import is_placeholder
from glue_pkgmgr.infra.lint.rule import Asked, Hit, Level, Rule
from glue_pkgmgr.infra.lint.view import Directory, View

_NEEDED = {
    "s3": "the job's script and data",
    "glue": "the Data Catalog",
    "logs": "the job's log",
}
_NEEDED_FOR_PACKAGES = {
    "codeartifact.api": "the token for the packages",
    "codeartifact.repositories": "the packages themselves",
}


def _no_endpoint(view: View, asked: Asked) -> Iterator[Hit]:
    if not view.networks and not view.endpoints:
        return  # the VPC is made elsewhere, and so may be its endpoints
    if any(map(is_placeholder, view.endpoints)):
        return  # one of them may be what seems to be missing
    inside = Directory((one.resource, one.called) for one in view.connections if one.in_network)
    used = next((one for job in view.jobs for text in job.connections for one in inside.meant(text)), None)
    if used is None:
        return
    needed = {**_NEEDED, **(_NEEDED_FOR_PACKAGES if _uses_codeartifact(view) else {})}
    missing = [service for service in needed if not any(one.endswith(f".{service}") for one in view.endpoints)]
    way = " but through the internet" if view.exits else ""
    for service in sorted(missing):
        yield Hit(
            place=used.at(),
            told=f"no VPC endpoint for {service}: jobs have no way to {needed[service]}{way}",
            level=Level.NOTE if view.exits else None,
        )


def _uses_codeartifact(view: View) -> bool:
    return bool(view.repositories or view.domains) or any(
        "codeartifact" in text.lower() for one in view.texts for text in one.texts
    )


RULES = (
    Rule(
        id="GPK501",
        name="no-endpoint",
        title="A VPC endpoint is missing",
        reason="A job with a NETWORK connection has no other way out of a private subnet: it hangs, and fails "
        "after minutes that are paid for.",
        fix="Make a gateway endpoint for s3 and interface endpoints, with private DNS, for codeartifact.api, "
        "codeartifact.repositories, glue and logs, in the subnet's VPC.",
        level=Level.WARNING,
        find=_no_endpoint,
    ),
)
