"""Templates of other people on this machine: read as they are, whatever is in them."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

from glue_pkgmgr.errors import SettingsError

STDIN = "-"
_LARGEST = 64 * 1024 * 1024  # bytes; CloudFormation takes 1 MB, a plan of thousands of resources has some ten
# PowerShell's `>` writes UTF-16.
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class TemplateFiles:
    """Reads files by name, and standard input by `-`; satisfies `ports.TemplateFiles`."""

    def is_folder(self, name: str) -> bool:
        """Whether `name` is a folder."""
        return name != STDIN and Path(name).is_dir()

    def read(self, name: str) -> str:
        """Return the text of a file, or of standard input.

        Raises: SettingsError in one sentence: absent, unreadable, no plain file, over 64 MB, no text in UTF-8 (or
        UTF-16 that says so).
        """
        if name == STDIN:
            return _text(sys.stdin.buffer.read(_LARGEST + 1), "standard input")
        path = Path(name)
        try:
            if path.exists() and not (path.is_file() or path.is_fifo()):
                raise SettingsError(f"{name} is no file; name a template")
            with path.open("rb") as opened:
                return _text(opened.read(_LARGEST + 1), name)
        except (OSError, ValueError) as e:
            reason = (e.strerror if isinstance(e, OSError) else None) or str(e)
            raise SettingsError(f"cannot read {name!r}: {reason}; check the name and its permissions") from e

    def inside(self, folder: str, name: str) -> str:
        """Return the name of the file `name` that one in `folder` names. Raises: SettingsError if it leads out."""
        whole = Path(folder, name)
        try:
            within = whole.resolve().is_relative_to(Path(folder).resolve())
        except (OSError, ValueError):
            within = False
        if not within:
            raise SettingsError(
                f"{folder} names the file {name[:120]!r}, which is not inside it; synthesise it anew"
            )
        return str(whole)


def _text(content: bytes, name: str) -> str:
    if len(content) > _LARGEST:
        raise SettingsError(
            f"{name} has more than {_LARGEST // 1024**2} MB: this is no template; name another file"
        )
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\0" in content:
        raise SettingsError(
            f"{name} is a binary file; name a template, and for Terraform `terraform show -json PLAN`"
        )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as e:
        raise SettingsError(f"{name} is no text in UTF-8: byte {e.start} is wrong; save it as UTF-8") from e
