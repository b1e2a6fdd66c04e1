"""Where the keys of a merged configuration stand: in which file and line, or on the command line."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from configuration.wording import KeyPath, dotted


class Places:
    """Where the keys of a merged configuration stand: file and line, or else the command line."""

    def __init__(self, config: Mapping[str, Any], files: Sequence[str | Path]) -> None:
        self._config = config
        texts = {os.path.relpath(file): Path(file).read_text(encoding="utf-8") for file in files}
        self._files = [(name, yaml.safe_load(text), yaml.compose(text)) for name, text in texts.items()]
        self.repeated = [f"{name}, {text}" for name, _, root in self._files for text in _repeated(root)]

    def of(self, path: KeyPath) -> str:
        """Where to mend the value at ``path``; if there is none, where its nearest parent begins."""
        while path and not _holds(self._config, path):
            path = path[:-1]
        if not path:
            return self._files[0][0] if self._files else "the configuration"
        for name, content, root in reversed(self._files):
            if _holds(content, path) and (
                isinstance(_at(content, path), Mapping) or _at(content, path) == _at(self._config, path)
            ):
                return f"{name}, line {_line(root, path)}"
        return "the --config option on the command line"


def _at(content: Any, path: KeyPath) -> Any:
    for key in path:
        content = content[key]
    return content


def _holds(content: Any, path: KeyPath) -> bool:
    try:
        _at(content, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _line(node: yaml.Node, path: KeyPath) -> int:
    """The line, counted from 1, on which the key (or the list's element) at ``path`` stands."""
    for key in path:
        if isinstance(node, yaml.MappingNode):
            mark, node = next((name.start_mark, value) for name, value in node.value if name.value == str(key))
        else:
            mark, node = node.value[key].start_mark, node.value[key]
    return mark.line + 1


def _repeated(node: yaml.Node, path: KeyPath = ()) -> Iterator[str]:
    """Keys that a mapping holds twice: YAML readers keep the last one and say nothing."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for name, value in node.value:
            here, line = (*path, name.value), name.start_mark.line + 1
            if name.value in lines:
                yield f"line {line}: {dotted(here)} is there twice, first on line {lines[name.value]}; remove one."
            lines[name.value] = line
            yield from _repeated(value, here)
