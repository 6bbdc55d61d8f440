"""Documentation: its code runs, and its links lead somewhere."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.helpers.scripts import load_script

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "reference"),
]
LINKING = [*PAGES, ROOT / "examples" / "README.md", *sorted((ROOT / "notebooks").glob("*.ipynb"))]
CODE = re.compile(r"^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
OF_THE_READER = re.compile(r"\"(best|runs/train/best)\.(pt|safetensors)\"")
RESULTS = [ROOT / "README.md", DOCS / "results.md"]
SLOW = ["python.md", "own-neuron.md"]
MADE = ["commands.md", "python.md", "house.md"]
"""Pages that docs/make_reference.py writes into docs/reference."""


def text_of(page):
    """Its Markdown."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.long] if page.name in SLOW else [])
        for page in PAGES
        if CODE.search(text_of(page))
    ],
    ids=lambda page: page.name,
)
def test_the_code_of_a_page_runs(page):
    shared = {}
    for block in CODE.findall(text_of(page)):
        code = compile(block, str(page), "exec")
        if not OF_THE_READER.search(block):  # whose files are not here
            exec(code, shared)


def headings(text):
    """The anchors of a page, as they are made of its headings."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", without_code, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if file.parent == DOCS / "reference":
            assert file.name in MADE, target
            continue
        assert file.is_file(), target
        assert not anchor or anchor in headings(text_of(file)), target
        assert DOCS not in page.parents or DOCS in file.parents, target  # the site has the pages of docs/ alone


def test_a_table_that_stands_twice_is_the_same():
    """That of `spikeyolo benchmark`: in the README, and on the site, which has no README."""
    tables = [re.findall(r"^\| form \| runs in \|.*?\n\n", text_of(page), re.MULTILINE | re.DOTALL) for page in RESULTS]
    assert len(tables[0]) == 1
    assert tables[0] == tables[1]


def test_the_reference_has_every_command_option_and_name():
    import spikeyolo
    from spikeyolo.cli.main import COMMANDS

    made = load_script("docs/make_reference.py")
    commands, python = made.commands_page(), made.python_page()
    assert set(re.findall(r"^## (.*)$", commands, flags=re.MULTILINE)) == set(COMMANDS)
    assert "| `--energy-weight` |" in commands
    assert "| `--augmentation.mosaic` |" in commands
    names = {name for name in spikeyolo.__all__ if callable(getattr(spikeyolo, name))}
    assert set(re.findall(r"^## (.*)$", python, flags=re.MULTILINE)) == names
    assert "- `weights`: a saved model" in python
    assert "| 9 | `cli/` |" in made.house_page()


def test_every_page_is_in_the_menu_of_the_site():
    menu = set(re.findall(r"([\w/-]+\.md)$", text_of(ROOT / "mkdocs.yml"), flags=re.MULTILINE))
    assert menu == {page.relative_to(DOCS).as_posix() for page in PAGES if DOCS in page.parents} | {
        f"reference/{name}" for name in MADE
    }


def moving_picture():
    return Image.open(DOCS / "moving.webp")


def test_the_moving_picture_is_small_and_goes_around_for_ever():
    made = load_script("docs/make_moving_picture.py")
    (rows, left), right = made.VIEW_HW, made.SENSOR_HW[1] * made.ENLARGED
    assert made.SENSOR_HW[0] * made.ENLARGED == rows
    with moving_picture() as picture:
        assert picture.size == (left + made.GAP + right, rows)
        assert (picture.n_frames, picture.info["loop"]) == (made.FRAMES, 0)
    assert (DOCS / "moving.webp").stat().st_size < 1.5e6


@pytest.mark.long
def test_the_moving_picture_shows_what_the_networks_find(tmp_path):
    """By its first frame, which is that of a shorter one, too, but for what the codec of pictures changes."""
    made = load_script("docs/make_moving_picture.py")
    with moving_picture() as picture:
        first = np.asarray(picture.convert("RGB")).astype(float)
    for results, times, columns in (
        (made.cells(tmp_path, 2), 1, slice(0, made.VIEW_HW[1])),
        (made.wheels(tmp_path, 2), made.ENLARGED, slice(made.VIEW_HW[1] + made.GAP, None)),
    ):
        assert len(results) == 2
        assert len(results[0].track_ids) == len(results[0]) >= 3
        assert np.abs(first[:, columns] - made.drawn(results[0], times)).mean() < 7
