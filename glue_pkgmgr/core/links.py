"""Pages of the AWS console about a run."""

from __future__ import annotations

from urllib.parse import quote

from glue_pkgmgr.core.job import JobRun

# Source: AWS General Reference, "AWS Management Console": the console's domain of each partition.
_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
_CONSOLE = "console.aws.amazon.com"
# Regions of partitions whose consoles are not public.
_CLOSED = ("us-iso", "eu-isoe", "eusc-")


def console_links(run: JobRun, region: str) -> dict[str, str]:
    """Return the console's pages of `run`, by what they show; none for a region whose console is not known."""
    if region.startswith(_CLOSED):
        return {}
    console = next((host for prefix, host in _CONSOLES.items() if region.startswith(prefix)), _CONSOLE)
    base = f"https://{region}.{console}"
    job, run_id = quote(run.job, safe=""), quote(run.id, safe="")
    links = {"run": f"{base}/gluestudio/home?region={region}#/job/{job}/run/{run_id}"}
    for stream in ("output", "error"):
        group = _encoded(f"{run.log_group}/{stream}")
        links[f"log {stream}"] = (
            f"{base}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}"
            f"$3FlogStreamNameFilter$3D{_encoded(run.log_streams or run.id)}"
        )
    return links


def _encoded(text: str) -> str:
    """Return `text` as CloudWatch's console puts it after `#`: encoded twice, with `$` for `%`."""
    return quote(quote(text, safe=""), safe="").replace("%", "$")
