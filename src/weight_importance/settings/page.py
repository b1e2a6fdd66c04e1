"""The page of all settings, config/README.md, generated from the models (``make schema``)."""

from collections.abc import Iterator, Mapping
from typing import Any

from weight_importance.settings.schema import schema

HEAD = """# Configuration

The configuration is `config.yaml` in the main folder. To change settings, write them into a file of the same form,
which may contain any part of the configuration, and name this file after `--configfile`. The preset
`presets/tiny.yaml` takes one and a half minutes and needs no downloads; `presets/full.yaml` has the published scale.
All mistakes in a configuration are reported at once, each with file, line and fix. (`make schema` generates this page
from the models in `src/weight_importance/settings/`.)

The workflow needs a checkout and its environment (`make environment`, then `source .venv/bin/activate`). It runs in
the checkout or in another folder, which then contains the results:

    snakemake --cores all --snakefile path/to/checkout/Snakefile --directory elsewhere

A `config.yaml` in that folder replaces the one in the checkout. To use the workflow as a module of another workflow:

```python
configfile: "path/to/checkout/config.yaml"

module atlas:
    snakefile: "path/to/checkout/workflow/Snakefile"
    config: config

use rule * from atlas as atlas_*
```

The checkout must be a local folder, because the rules use its package, notebooks and text. Use the module without
`prefix`; its results are in `results/` of the working folder.
"""


def page() -> str:
    """The page: one table of keys for the whole configuration, and one per section."""
    whole = schema()
    sections = {"Configuration": whole} | {name: part for name, part in whole["$defs"].items() if "properties" in part}
    return "\n".join([HEAD, *(line for name, part in sections.items() for line in _section(name, part))])


def _section(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    """Heading, description and table of one model."""
    description = " ".join(part.get("description", "").split())
    yield from (
        f"## {name}",
        "",
        *([description, ""] if description else ()),
        "| key | value | meaning |",
        "| --- | --- | --- |",
    )
    for key, value in part["properties"].items():
        meaning = " ".join(value.get("description", "").split()).replace("|", "\\|")
        yield f"| `{key}` | {_kind(value)} | {meaning} |"
    yield ""


def _kind(value: Mapping[str, Any]) -> str:
    """The values that a key may have."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if options := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(map(_kind, options))
    if "enum" in value or "const" in value:
        return ", ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    kind = value.get("type", "any")
    if kind == "array":
        return f"list of {_kind(value['items'])}" if isinstance(value.get("items"), Mapping) else "list"
    if kind == "object":
        inner = next(iter(value.get("patternProperties", {}).values()), value.get("additionalProperties"))
        return f"name: {_kind(inner)}" if isinstance(inner, Mapping) else "keys"
    return {"null": "`null`", "string": "text"}.get(kind, kind) + _limits(value)


def _limits(value: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return "".join(f" {sign} {value[limit]}" for limit, sign in signs.items() if limit in value)


if __name__ == "__main__":
    print(page(), end="")
