"""Modules of a page, run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from spikeyolo.exporting.write_web import TEMPLATES

NODE = shutil.which("node")


def run_module(folder: Path, module: str, program: str, given: Any = None) -> Any:
    """Return what a program makes of a value, as JSON.

    Args:
        folder: for its files, and where it runs.
        module: of the page, whose names the program has in `page`.
        program: the body of a function of `given`; `files` reads and writes.
        given: the value.
    """
    assert NODE
    # Node takes .mjs for a module whatever its version; what modules import of each other stays as it is.
    (folder / f"{module}.mjs").write_bytes((TEMPLATES / f"{module}.js").read_bytes())
    (folder / "given.json").write_text(json.dumps(given))
    (folder / "main.mjs").write_text(
        f'import * as page from "./{module}.mjs";\nimport files from "node:fs";\n'
        'const given = JSON.parse(files.readFileSync("given.json", "utf8"));\n'
        f"const found = ((given) => {{ {program} }})(given);\n"
        'files.writeFileSync("found.json", JSON.stringify(found ?? null));\n'
    )
    subprocess.run([NODE, "main.mjs"], cwd=folder, check=True, timeout=60)
    return json.loads((folder / "found.json").read_text())
