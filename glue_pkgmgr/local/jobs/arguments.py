"""The arguments of a job run: which win, what the special ones mean, which the stand-in cannot honour.

Source: AWS Glue Developer Guide, "Using job parameters in AWS Glue jobs".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LIMIT_BYTES = 260 * 1024
"""How much all arguments of a run may take together."""

RESERVED = frozenset({"--debug", "--mode", "--JOB_NAME", "--endpoint"})
"""Arguments that belong to Glue; a caller never sets them."""

NOT_IMPLEMENTED = frozenset(
    {
        "--class",
        "--datalake-formats",
        "--extra-jars",
        "--python-virtual-env",
        "--python-virtual-env-storage-prefix",
        "--user-jars-first",
    }
)
"""Arguments that change what a job does and that the stand-in does not carry out."""

_CUSTOMER_VARIABLE = re.compile(r'(?P<key>[^=,"]+)=(?:"(?P<quoted>[^"]*)"|(?P<plain>[^,]*))(?:,|$)')
_UNSPEAKABLE = re.compile("[\0\ud800-\udfff]")


def effective_arguments(
    *, default: Mapping[str, str], run: Mapping[str, str], fixed: Mapping[str, str]
) -> dict[str, str]:
    """Return the arguments a run gets: `fixed` ones of the job, else the run's, else the job's defaults."""
    return {**default, **run, **fixed}


def faults(arguments: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each reason why a run with `arguments` cannot start."""
    for name in sorted(RESERVED & arguments.keys()):
        yield f"{name} is reserved for AWS Glue; remove it from the arguments"
    for name in sorted(NOT_IMPLEMENTED & arguments.keys()):
        yield f"the stand-in does not implement the argument {name}"
    if (language := arguments.get("--job-language", "python")) != "python":
        yield f"the stand-in does not implement --job-language {language}; only python"
    for name in sorted(key for key, value in arguments.items() if _UNSPEAKABLE.search(key + value)):
        yield f"{name!a} holds a character that no command line can"
    size = sum(len((key + value).encode("utf-8", "replace")) for key, value in arguments.items())
    if size > LIMIT_BYTES:
        yield f"the arguments take {size} bytes; at most {LIMIT_BYTES} (260 KB) are allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRequest:
    """What a run asks pip for: `--additional-python-modules` and `--python-modules-installer-option`.

    `items` were separated by commas, every one of them, even inside a version specifier; `options` by blanks.
    """

    items: tuple[str, ...]
    options: tuple[str, ...]

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> ModuleRequest:
        """Return the request in `arguments`; without items there is nothing to install."""
        return cls(
            items=tuple(comma_separated(arguments.get("--additional-python-modules", ""))),
            options=tuple(arguments.get("--python-modules-installer-option", "").split()),
        )

    @property
    def names_requirements_file(self) -> bool:
        """Whether the items are requirements files (option `-r`)."""
        return any(option in _REQUIREMENT_OPTIONS for option in self.options)

    @property
    def other_options(self) -> list[str]:
        """The options without `-r`, which is given with each file instead."""
        return [option for option in self.options if option not in _REQUIREMENT_OPTIONS]


_REQUIREMENT_OPTIONS = frozenset({"-r", "--requirement", "--requirements"})


def comma_separated(text: str) -> list[str]:
    """Return the parts of `text` between commas, without blanks around them and without empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def spark_settings(conf: str) -> list[str]:
    """Return the `key=value` settings in the value of `--conf`: `k1=v1 --conf k2=v2` holds two."""
    return [setting for setting in re.split(r"(?:^|\s+)--conf\s+", conf.strip()) if setting]


def customer_variables(text: str) -> dict[str, str]:
    """Return the environment variables in `K=V,K2="v,v"`; keys that do not start `CUSTOMER_` are ignored."""
    found = {}
    for match in _CUSTOMER_VARIABLE.finditer(text):
        key = match["key"].strip()
        if key.startswith("CUSTOMER_"):
            found[key] = match["plain"] if match["quoted"] is None else match["quoted"]
    return found
