"""A report as SARIF 2.1.0, which code scanning services and editors read. Source: OASIS, SARIF 2.1.0."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from glue_pkgmgr.infra.lint.registry import COMMAND_LINE, RULES, Report
from glue_pkgmgr.infra.lint.rule import Finding, Rule

VERSION = "2.1.0"


def sarif(report: Report, tool_version: str) -> Mapping[str, Any]:
    """Return `report` as one run; what is suppressed is in it, marked so, as the format has it."""
    found = [*report.findings, *report.suppressed]
    return {
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "glue-pkgmgr stack lint",
                        "version": tool_version,
                        "rules": [_rule(rule) for rule in RULES],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(one) for one in found],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.reason},
        "help": {
            "text": f"{rule.reason} {rule.fix}",
            "markdown": f"{rule.reason}\n\n**Fix.** {rule.fix}\n\n[{rule.id}]({rule.help})",
        },
        "defaultConfiguration": {"level": rule.level.value},
        "properties": {"tags": ["security", "aws", "glue"]},
    }


def _result(finding: Finding) -> dict[str, Any]:
    place = finding.place
    location: dict[str, Any] = {}
    if place.file != COMMAND_LINE:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(place.file)},
            "region": {"startLine": place.line},
        }
    if place.resource:
        location["logicalLocations"] = [
            {"name": place.resource, "fullyQualifiedName": place.path or place.resource, "kind": "resource"}
        ]
    told: dict[str, Any] = {
        "ruleId": finding.rule.id,
        "ruleIndex": RULES.index(finding.rule),
        "level": finding.level.value,
        "message": {"text": f"{finding.told}. {finding.rule.fix}"},
        "locations": [location] if location else [],
        "partialFingerprints": {"resourceAndPath/v1": _fingerprint(finding)},
        "suppressions": [],
    }
    if by := finding.suppressed:
        kind = "external" if by.place.file == COMMAND_LINE else "inSource"
        told["suppressions"] = [{"kind": kind, "justification": by.reason}]
    return told


def _uri(file: str) -> str:
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _fingerprint(finding: Finding) -> str:
    """Return what stays the same when lines move: the rule, the file, the resource and the path in it."""
    place = finding.place
    told = "\0".join((finding.rule.id, place.file, place.resource, place.path, finding.told))
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()
