"""Verb `init`: write a settings file and an empty allow-list to begin with."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from glue_pkgmgr.core.allowlist import EMPTY
from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.settings import parse_settings

ALLOWLIST = "allowlist.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginnings:
    """What `init` asks. The defaults work with the stand-in as they are; `owner` is an account of 12 digits."""

    domain: str = "example-domain"
    owner: str = "111122223333"
    region: str = "us-east-1"
    store: str = "pypi-store"
    repository: str = "enterprise-repo"
    internal: tuple[str, ...] = ()
    glue_version: str = "5.1"


def init(path: Path, beginnings: Beginnings) -> tuple[Path, Path]:
    """Write the settings file `path` and an empty allow-list beside it, and return both paths.

    Raises: SettingsError for a value the settings would refuse, when one of the files exists (nothing is
    ever overwritten), and when the folder cannot be written. Nothing is left half done.
    """
    text = settings_text(beginnings)
    settings = parse_settings(tomllib.loads(text), path.absolute())
    files = {path.absolute(): text, settings.policy.allowlist: EMPTY}
    for file in files:
        if file.exists() or file.is_symlink():
            raise SettingsError(f"{file} exists already and is never overwritten; edit it, or move it away first")
    written: list[Path] = []
    try:
        for file, content in files.items():
            _write_new(file, content, written)
    except OSError as e:
        for file in written:
            with suppress(OSError):
                file.unlink()
        raise SettingsError(f"cannot write {e.filename}: {e.strerror}") from e
    return path.absolute(), settings.policy.allowlist


def _write_new(file: Path, content: str, written: list[Path]) -> None:
    with file.open("x", encoding="utf-8") as stream:
        written.append(file)
        stream.write(content)


def settings_text(beginnings: Beginnings) -> str:
    """Return a commented settings file; what most people add next stands in it as comments."""
    codeartifact = (
        ("domain", beginnings.domain, ""),
        ("owner", beginnings.owner, "the AWS account that owns the domain"),
        ("region", beginnings.region, ""),
        ("store", beginnings.store, "has the external connection to the public index"),
        ("repository", beginnings.repository, "what jobs install from: no upstream, only what was approved"),
    )
    return f"""\
# Settings of glue-pkgmgr. An unknown key is an error that names the nearest known one.

[codeartifact]
{_lines((key, _text(value), comment) for key, value, comment in codeartifact)}

[policy]
allowlist = {_text(ALLOWLIST)}
locks = "locks"                   # one lock per bundle and Glue version; keep them in git
minimum-age-days = 7              # younger releases are not considered: most attacks are found within days
# Projects that may only ever come from us:
internal = {_texts(beginnings.internal)}

# Folders of the internal projects that `publish` uploads.
# [publish]
# projects = ["my-library"]

# What a job installs: `glue-pkgmgr lock` resolves it to exact releases with hashes.
# [bundles.example]
# modules = ["boto3", "my-library==1.0.0"]
# glue-version = {_text(beginnings.glue_version)}

# A Glue job: `glue-pkgmgr launch example` starts it with the releases of its bundle.
# [jobs.example]
# name = "example-glue-job"
# script = "jobs/example.py"
# bundle = "example"
# worker-type = "G.1X"
# workers = 2
# staging = "s3://my-bucket/glue-pkgmgr/"    # must be readable by the job's role
# arguments = {{ S3_BUCKET = "my-bucket" }}
"""


def _lines(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return `key = value  # comment` lines, the comments below each other where values are short."""
    return "\n".join(
        f"{f'{key} = {value}':<32}  # {comment}" if comment else f"{key} = {value}"
        for key, value, comment in entries
    )


def _text(value: str) -> str:
    # A JSON string is a TOML basic string; DEL alone is allowed by the one and not by the other.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"
