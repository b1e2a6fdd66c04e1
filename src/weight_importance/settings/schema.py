"""The JSON schema of configuration files for editors, generated from the models (``make schema``).

No key is required, because a file may hold any part of the configuration.
"""

import json
from typing import Any

from weight_importance.settings.configuration import Configuration

LIKE = {
    "description": "Another study, from which all settings are copied that this study does not give.",
    "type": "string",
}


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration file, or of a part of it."""
    whole = Configuration.model_json_schema()
    whole["$defs"]["Study"]["properties"] = {"like": LIKE, **whole["$defs"]["Study"]["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_without(whole, ("required", "default", "title")),
    }


def _without(content: Any, keys: tuple[str, ...], is_names: bool = False) -> Any:
    """Remove keywords from a schema; keys of ``properties`` and ``$defs`` are names, not keywords."""
    if isinstance(content, list):
        return [_without(one, keys) for one in content]
    if not isinstance(content, dict):
        return content
    kept = content if is_names else {key: value for key, value in content.items() if key not in keys}
    return {key: _without(value, keys, key in ("properties", "$defs") and not is_names) for key, value in kept.items()}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))
