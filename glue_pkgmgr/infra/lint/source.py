"""A file's text to what the rules look at, by what stands in it; and which files a file names."""

from __future__ import annotations

from collections.abc import Iterator

from glue_pkgmgr.errors import SettingsError
from glue_pkgmgr.infra.lint.cloudformation import cloudformation, is_cloudformation
from glue_pkgmgr.infra.lint.document import Table, Value, items, table
from glue_pkgmgr.infra.lint.json_text import parse_json
from glue_pkgmgr.infra.lint.terraform import is_terraform, terraform
from glue_pkgmgr.infra.lint.view import View
from glue_pkgmgr.infra.lint.yaml_text import parse_yaml

WANTED = (
    "give a CloudFormation template, the output folder of the CDK (cdk.out), or what `terraform show -json` prints"
)
MANIFEST = "manifest.json"
"""The file that tells what is in an output folder of the CDK."""

_YAML = (".yaml", ".yml")


def parse(text: str, file: str) -> Value:
    """Return the document in `text`, JSON or YAML. Raises: SettingsError that begins with `file`."""
    as_json = text.lstrip()[:1] in ("{", "[") and not file.lower().endswith(_YAML)
    try:
        return parse_json(text) if as_json else parse_yaml(text)
    except SettingsError as e:
        raise SettingsError(f"{file}, {e}; {WANTED}") from e


def view_of(document: Value, file: str) -> View:
    """Return what the rules look at in `document`. Raises: SettingsError if it is none of what we read."""
    if isinstance(document, Table):
        if is_terraform(document):
            return terraform(document, file)
        if is_cloudformation(document):
            return cloudformation(document, file)
    raise SettingsError(f"{file} is no template: it has no resources; {WANTED}")


def is_manifest(document: Value) -> bool:
    """Whether `document` is the manifest of an output folder of the CDK."""
    return isinstance(table(document).get("artifacts"), Table) and "version" in table(document)


def templates_of(manifest: Value) -> Iterator[str]:
    """Yield the file of each stack, relative to the folder of `manifest`. Source: CDK, cloud assembly schema."""
    yield from _properties_of(manifest, "aws:cloudformation:stack", "templateFile")


def assemblies_of(manifest: Value) -> Iterator[str]:
    """Yield the folder of each stage, which has a manifest of its own, relative to the folder of `manifest`."""
    yield from _properties_of(manifest, "cdk:cloud-assembly", "directoryName")


def _properties_of(manifest: Value, kind: str, member: str) -> Iterator[str]:
    for one in table(table(manifest).get("artifacts")).values():
        if table(one).get("type") == kind:
            name = table(table(one).get("properties")).get(member)
            if isinstance(name, str):
                yield name


def nested_of(template: Value) -> Iterator[str]:
    """Yield the file of each nested stack that the CDK wrote beside `template`."""
    for one in table(table(template).get("Resources")).values():
        if table(one).get("Type") == "AWS::CloudFormation::Stack":
            path = table(table(one).get("Metadata")).get("aws:asset:path")
            yield from (name for name in items(path) if isinstance(name, str))
