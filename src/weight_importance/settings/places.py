"""The place of each key of a merged configuration: file and line, or the command line."""

import os
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

from weight_importance.settings.base import KeyPath, at, holds
from weight_importance.settings.files import pitfalls

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""CSafeLoader is much faster; both read only plain YAML."""


class Places:
    """The place of each key of a merged configuration: file and line, or else the command line."""

    def __init__(self, config: Mapping[str, Any], files: Sequence[str | Path]) -> None:
        self._config = config
        texts = {os.path.relpath(file): Path(file).read_text(encoding="utf-8") for file in files}
        self._files = [
            (name, yaml.load(text, LOADER), yaml.compose(text, LOADER))  # noqa: S506 (both loaders are safe)
            for name, text in texts.items()
        ]
        traps = ((name, *trap) for name, _, root in self._files for trap in pitfalls(root))
        self.pitfalls = [f"{name}, line {line}: {text}" for name, line, text in traps]

    def of(self, *paths: KeyPath) -> str:
        """The place of the value at a path or, without a value, of its nearest parent; of several, the last set."""
        return max(map(self._numbered, paths), key=itemgetter(0))[1]

    def _numbered(self, path: KeyPath) -> tuple[int, str]:
        """The number of the file that sets the value, and the place."""
        while path and not holds(self._config, path):
            path = path[:-1]
        if not path:
            return 0, self._files[0][0] if self._files else "the configuration"
        for number, (name, content, root) in reversed([*enumerate(self._files)]):
            if holds(content, path) and (
                isinstance(at(content, path), Mapping) or _same(at(content, path), at(self._config, path))
            ):
                return number, f"{name}, line {_line(root, path)}"
        return len(self._files), "the --config option on the command line"


def _same(a: object, b: object) -> bool:
    """Whether two values are equal, ``.nan`` included."""
    return a == b or (a != a and b != b)


def _is(name: yaml.Node, key: str | int) -> bool:
    """Whether a file's key equals ``key``, which need not be text (``no`` is false)."""
    return name.value == key or (not isinstance(key, str) and yaml.safe_load(yaml.serialize(name)) == key)


def _line(node: yaml.Node, path: KeyPath) -> int:
    """Line number, from 1, of the key or list element at ``path``.

    For a key merged from another mapping (``<<: *name``), the line of its parent key.
    """
    mark = node.start_mark
    for key in path:
        if isinstance(node, yaml.MappingNode):
            matches = [(name.start_mark, value) for name, value in node.value if _is(name, key)]
            if not matches:
                break
            mark, node = matches[-1]
        else:
            mark, node = node.value[key].start_mark, node.value[key]
    return mark.line + 1
