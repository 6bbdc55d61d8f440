"""YAML and JSON as users and other programs write them: plain values, within limits, and nothing in them is run."""

from __future__ import annotations

import json
import os
from typing import Any

import yaml

from .errors import ConfigError, DataError, SpikeYOLOError, one_line, quote
from .reading import naming, read_bytes, read_text

YAML_BYTES = 10**6
YAML_VALUES = 30_000
YAML_DEPTH = 30
LONGEST_NUMBER = 100
JSON_BYTES = 2 * 10**9  # annotations of COCO take 0.5 GB, those of the largest data sets a few times as much

REFUSED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What making a value raises: 2024-13-45 is no date, and !!int "x" no number."""

NUMBERS = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))


class _Loader(yaml.SafeLoader):
    """Plain values alone; refuses keys given twice, and more values than a settings file has.

    An alias counts as all that it stands for: a few lines of them would otherwise stand for billions of values.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.values = self.depth = 0
        self.values_of: dict[str | None, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        before = self.values
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self.anchors and event.anchor not in self.values_of:
                raise _problem(f"*{one_line(event.anchor)} stands within itself", event)
            self.values += self.values_of.get(event.anchor, 0)
        self.values, self.depth = self.values + 1, self.depth + 1
        if self.values > YAML_VALUES:
            raise _problem(f"more than {YAML_VALUES:,} values", event)
        if self.depth > YAML_DEPTH:
            raise _problem(f"nested more than {YAML_DEPTH} deep", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if not isinstance(event, yaml.AliasEvent) and event.anchor is not None:
            self.values_of[event.anchor] = self.values - before
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if node.tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise _problem(f"a number of {len(node.value):,} characters", node)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _problem(f"the key {quote(key.value)} is given twice", key)
                seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except REFUSED as error:
            raise _problem(f"{quote(node.value)} is not a value ({one_line(error)})", node) from error


def _problem(what: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=where.start_mark)


def read_yaml(file: str | os.PathLike[str], error: type[SpikeYOLOError] = ConfigError) -> Any:
    """Return what a YAML file holds, as plain values.

    Args:
        file: with at most 1 MB, 30,000 values (counted with what aliases stand for), and 30 of them within each other.
        error: what to raise.

    Raises:
        SpikeYOLOError: of that kind, with the line: no such file, not YAML, too large, a key given twice, a value of a
            type that is not plain (`!!python/...`), or one that cannot be, such as the date 2024-13-45.
    """
    text = read_text(file, YAML_BYTES, error, kind="YAML")
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as caught:
        line = caught.problem_mark.line + 1 if caught.problem_mark else "?"
        what = ", ".join(filter(None, (caught.context, caught.problem)))
        raise error(f"{file}: cannot be read as YAML (line {line}: {one_line(what)})") from caught
    except yaml.YAMLError as caught:
        raise error(f"{file}: cannot be read as YAML ({one_line(caught)})") from caught
    finally:
        if loader is not None:
            loader.dispose()


def read_mapping(file: str | os.PathLike[str], error: type[SpikeYOLOError] = ConfigError) -> dict[Any, Any]:
    """Return the names and values of a YAML file, none where it is empty; see `read_yaml`."""
    content = read_yaml(file, error)
    if content is not None and not isinstance(content, dict):
        raise error(f"{file}: expected lines of 'name: value'")
    return content or {}


def read_json(file: str | os.PathLike[str], limit: int = JSON_BYTES, error: type[SpikeYOLOError] = DataError) -> Any:
    """Return what a JSON file holds.

    Args:
        file: the file.
        limit: its largest size in bytes.
        error: what to raise.

    Raises:
        SpikeYOLOError: of that kind: no such file, not JSON, or too large.
    """
    content = read_bytes(file, limit, error)
    with naming(file, "cannot be read as JSON", error):
        try:
            return json.loads(content)
        except RecursionError:  # whose words change with the version of Python
            raise ValueError("nested too deep") from None
