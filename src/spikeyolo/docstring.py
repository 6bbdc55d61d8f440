"""What a docstring says about parameters, fields and examples, for the help."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Docstring:
    """A docstring in Google's style.

    Attributes:
        text: before the first section.
        parameters: of `Args` or `Attributes`, a text each.
        examples: lines of `Examples`.
    """

    text: str
    parameters: dict[str, str]
    examples: list[str]

    @classmethod
    def of(cls, thing: Any) -> Docstring:
        """Read the docstring of a function or class."""
        sections: dict[str, list[str]] = {"": []}
        section = ""
        for line in (inspect.getdoc(thing) or "").splitlines():
            if found := re.fullmatch(r"(Args|Attributes|Examples|Raises|Returns|Source):", line):
                section = found[1]
                sections[section] = []
            else:
                sections[section].append(line)
        parameters: dict[str, str] = {}
        name = ""
        for line in sections.get("Args", []) + sections.get("Attributes", []):
            if found := re.match(r" {4}(?:\*\*)?(\w+): (.*)", line):
                name = found[1]
                parameters[name] = found[2]
            elif name:
                parameters[name] = f"{parameters[name]} {line.strip()}".strip()
        examples = [line.strip() for line in sections.get("Examples", []) if line.strip()]
        return cls("\n".join(sections[""]).strip(), parameters, examples)
