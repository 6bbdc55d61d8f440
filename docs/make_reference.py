"""Write what the site takes from the code: the commands with all their options, the Python functions, the house.

    python docs/make_reference.py OUT

What it writes is not kept: `make docs` makes it anew.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path

import spikeyolo
from spikeyolo.cli.arguments import Option, options_of
from spikeyolo.cli.help import command_help
from spikeyolo.cli.main import COMMANDS, POSITIONAL
from spikeyolo.docstring import Docstring

ROOT = Path(__file__).parents[1]
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Source|Examples):$", re.MULTILINE)


def commands_page() -> str:
    """Every command: what it does, examples, and a table of all options."""
    parts = ["# Commands", "`spikeyolo COMMAND --help` says the same in a terminal."]
    for name, line in COMMANDS.items():
        words = name.replace(" ", "_")
        function = getattr(importlib.import_module(f"spikeyolo.cli.{words}"), name.split()[-1])
        about, options = Docstring.of(function), options_of(function, positional=name in POSITIONAL)
        usage = command_help(f"spikeyolo {name}", function, options, None, everything=True).splitlines()[0]
        parts += [f"## {name}", about.text or line, f"```\n{usage}\n```"]
        if about.examples:
            parts.append("```\n" + "\n".join(about.examples) + "\n```")
        rows = [f"| `{option.flag}` | {_default(option)} | {_cell(option.help)} |" for option in options.values()]
        parts.append("\n".join(["| option | default | |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def python_page() -> str:
    """Everything that `spikeyolo` exports."""
    parts = ["# Python", "What `import spikeyolo` offers; [examples](../python.md)."]
    for name in sorted(spikeyolo.__all__):
        thing = getattr(spikeyolo, name)
        if not callable(thing):
            continue
        parts += [f"## {name}", f"```python\n{_signature(name, thing)}\n```", _sections(inspect.getdoc(thing) or "")]
        if inspect.isclass(thing):
            for member, value in sorted(vars(thing).items()):
                value = getattr(value, "__func__", getattr(value, "fget", value))
                if not member.startswith("_") and inspect.isfunction(value) and inspect.getdoc(value):
                    text = _sections(inspect.getdoc(value) or "")
                    parts += [f"### {name}.{member}", f"```python\n{_signature(member, value)}\n```", text]
    return "\n\n".join(parts) + "\n"


def house_page() -> str:
    """The part of CONTRIBUTING.md that says how the code is laid out."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    house = text.partition("## The house\n")[2].partition("\n## ")[0]
    return f"# How it works: the house\n\n{house.replace('](docs/', '](../')}\n"


def _default(option: Option) -> str:
    value = getattr(option.default, "value", option.default)
    if value is inspect.Parameter.empty:
        return "required"
    return "" if value in (None, "", (), []) or value is False else f"`{value}`"


def _signature(name: str, thing: object) -> str:
    """The signature, a parameter a line where there are many; without the annotations, which the text says better."""
    try:
        signature = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return f"{name}(...)"
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name not in ("self", "cls")]
    text = f"{name}{signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)}"
    return text if len(text) < 100 else text.replace("(", "(\n    ", 1).replace(", ", ",\n    ")


def _sections(doc: str) -> str:
    """A docstring as Markdown: its sections become lists."""
    head, *rest = SECTION.split(doc)
    parts = [head.strip()]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        text, _, after = body.strip("\n").partition("\n\n")
        text = inspect.cleandoc(f"\n{text}")
        if title in ("Args", "Attributes", "Raises"):
            entries = re.sub(r"\n\s+", " ", text).splitlines()
            items = [re.sub(r"^(\S+?): ", r"`\1`: ", entry) for entry in entries]
            text = "\n".join(f"- {item}" for item in items)
        parts += [f"**{title}**", text, *([after] if after.strip() else [])]
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def main() -> None:
    """Write all pages into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"commands": commands_page(), "python": python_page(), "house": house_page()}.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
