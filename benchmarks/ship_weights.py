"""Make the package's own file of a trained model, and measure what `spikeyolo models` says of it.

    python benchmarks/ship_weights.py --run runs/train --out src/spikeyolo/weights --name t-bccd --recipe small \
        --about "blood cells on microscope images" --data-words "BCCD (images MIT)"

Writes OUT/NAME.safetensors, with weights in few bits, and its entry in OUT/models.yaml. Average precision and energy
are measured on the split `test` of the data that the run was trained on, in the form that is shipped; the first also
before its weights were cut. The recipe is what the run's config.yaml says, as a command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from spikeyolo import load
from spikeyolo.cli.main import run_script
from spikeyolo.data.open import open_data
from spikeyolo.evaluation.validate import ValidationSettings, validate
from spikeyolo.files import write_whole
from spikeyolo.metering.measure import measure
from spikeyolo.metering.report import to_json
from spikeyolo.metering.technology import DEFAULT, find_technology
from spikeyolo.text_files import read_mapping
from spikeyolo.training.settings import MACHINE, TrainSettings, read_settings, recipe_path

HEADER = "# Written by benchmarks/ship_weights.py, which measured it: not to be edited by hand.\n"


def differences(given: dict[str, Any], recipe: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Options that a run changed in its recipe."""
    for name, value in given.items():
        if isinstance(value, dict):
            yield from differences(value, recipe[name], f"{prefix}{name}.")
        elif value != recipe[name] and (prefix or name not in (*MACHINE, "data", "val_every")):
            yield f"{prefix}{name}", value


def command(settings: TrainSettings, recipe: str, data: str) -> str:
    """The command that trains so again."""
    changed = differences(settings.to_dict(), read_settings(recipe_path(recipe)).to_dict())
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in changed)
    return " ".join(f"spikeyolo train --config {recipe} {options} --data {data}".split())


def main(
    run: str,
    out: str,
    name: str,
    recipe: str,
    about: str,
    data_words: str,
    data: str | None = None,
    trained_by: str | None = None,
    split: str = "test",
    bits: int = 7,
    sequence: int | None = None,
) -> None:
    """Make a file of the package of a trained run, and measure it.

    Args:
        run: folder of the training, with best.safetensors and config.yaml
        out: folder of the package's weights
        name: of the model
        recipe: that it was trained by
        about: what it finds and on what
        data_words: what it was trained on and the licence of that
        data: the data.yaml, in place of the one that the run names
        trained_by: the command, in place of the one made of the run's settings
        split: to measure on
        bits: of weights; of 7 two models and the rest fit a wheel of 4 MB
        sequence: as for `spikeyolo val`
    """
    folder, target = Path(run), Path(out)
    settings = read_settings(folder / "config.yaml")
    trained, index = load(folder / "best.safetensors"), open_data(data or settings.data).split(split)
    how = ValidationSettings(workers=0, sequence=sequence)
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / f"{name}.safetensors"
        trained.save(file, bits=bits)
        model, content = load(file), file.read_bytes()
    before, after = (validate(one.fold(), index, how) for one in (trained, model))
    technology = find_technology(DEFAULT)
    energy = to_json(measure(model, index), technology)
    binary, count = energy["slot_codes"]["binary"], energy["images"]
    unit = energy["unit"]
    metrics = after.evaluation.to_json()
    followed = "" if sequence is None else ", recordings followed from their start"
    part = f"the {count} {unit}s of the split {split} of {data_words.partition(' (')[0]}"
    entry = {
        "about": about,
        "names": list(model.names),
        "sees": str(model.input),
        "bits": bits,
        "parameters": energy["trained_parameters"],
        "timesteps": energy["timesteps"],
        "max_count": energy["max_count"],
        "measured_on": f"{part}, COCO's rule{followed}",
        "AP": metrics["AP"],
        "AP50": metrics["AP50"],
        "AP_float32": before.evaluation.to_json()["AP"],
        "AP50_float32": before.evaluation.to_json()["AP50"],
        "firing_rate": energy["firing_rate"],
        "unit": f"{'an' if unit == 'image' else 'a'} {unit}",
        "technology": technology.label,
        "snn_millijoule": [energy["snn_mJ"], energy["snn_memory_mJ"]],
        "binary_millijoule": [binary["snn_mJ"], binary["snn_memory_mJ"]],
        "ann_millijoule": [energy["ann_mJ"], energy["ann_memory_mJ"]],
        "ann_separable_millijoule": energy["ann"]["separable"]["mJ"],
        "data": data_words,
        "licence": "Apache-2.0",
        "recipe": trained_by or command(settings, recipe, Path(settings.data).parent.name + "/data.yaml"),
    }
    table = target / "models.yaml"
    entries = {**(read_mapping(table) if table.exists() else {}), name: entry}
    write_whole(target / f"{name}.safetensors", content)
    write_whole(table, (HEADER + yaml.safe_dump(entries, sort_keys=False, width=118)).encode())
    print(yaml.safe_dump({name: entry}, sort_keys=False, width=118))


if __name__ == "__main__":
    sys.exit(run_script(main, sys.argv[1:]))
