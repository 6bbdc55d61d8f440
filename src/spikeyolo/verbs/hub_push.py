"""`spikeyolo.push_to_hub`: weights with a measured card, sent to the Hugging Face Hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from ..option_help import described
from .runnable import Log, is_file, load_model, nothing


@described()
def push_to_hub(  # noqa: D417
    weights: Any,
    repo: str,
    *,
    data: str | os.PathLike[str] | None = None,
    split: Literal["train", "val", "test"] = "val",
    license: str | None = None,
    private: bool = False,
    technology: str = "45nm-fp32",
    neuron: Any = None,
    out: str | os.PathLike[str] | None = None,
    progress: Log = nothing,
) -> str:
    """Send weights to the Hugging Face Hub, as safetensors, with a card that says what is known of them.

    Average precision, spikes and energy are measured on the data that is named; without, the card says that they were
    not. Where the weights lie in the folder of their training, its settings are on the card. Needs a token: `hf auth
    login`, or the variable HF_TOKEN.

    Args:
        repo: owner/name on the Hub, made unless it is there
        data: a data.yaml or COCO annotation file to measure on; nothing is measured unless given
        license: of the weights, as the Hub calls it, such as apache-2.0, mit or cc-by-4.0
        private: make a new repository private
        out: a new folder to write the files into, to look at them; nothing is sent then

    Returns:
        The page of the repository, or the folder.

    Raises:
        ConfigError: a name or setting that does not exist or does not fit, or a model that is folded already.
        CheckpointError: the weights cannot be used.
        DataError: the data cannot be read.
        WriteError: no token, not allowed, the network fails, or the folder cannot be written.
        MissingPackage: the extra `hub` is not installed.
    """
    from ..files import new_folder, write_whole
    from ..hub import Address, send
    from ..model.forms.form import Form
    from ..model.sharing import shared_files

    Address.of(repo)  # before anything is measured
    folder = None if out is None else new_folder(out, reads=[weights] if is_file(weights) else [])
    model = load_model(weights, "cpu", neuron)
    known: dict[str, Any] = {"license": license, "recipe": _recipe(weights)}
    if data is not None:
        from .energy import energy
        from .val import val

        progress(f"measuring on {data}, {split}")
        known |= {"data": _data_name(data), "split": split}
        known["val"] = val(model, data, split=split, workers=0).to_json()
        if model.config.neuron != "relu" and model.form is Form.TRAINABLE:  # others are not counted
            known["energy"] = energy(model, data, split=split, technology=technology, workers=0).to_json()
    files = shared_files(model, repo, **known)
    if folder is None:
        return send(repo, files, private)
    for name, content in files.items():
        write_whole(folder / name, content)
    return str(folder)


def _data_name(data: str | os.PathLike[str]) -> str:
    """What data are called: a public set by its name, others by their folder."""
    from ..data.known import named_set

    named = named_set(data)
    return Path(data).resolve().parent.name if named is None else named.name


def _recipe(weights: Any) -> str | None:
    """The settings of the training whose folder a file lies in; of what they name here, the names alone."""
    import yaml

    from ..reading import file_kind
    from ..text_files import read_mapping

    if not is_file(weights):
        return None
    # A file beside others of a run; a model by its name, or on the Hub, lies in no folder of the user's.
    file, results = (Path(weights).with_name(name) for name in ("config.yaml", "results.csv"))
    if any(file_kind(str(one)) != "file" for one in (Path(weights), file, results)):
        return None
    settings = dict(read_mapping(file))
    for key in ("data", "model", "teacher"):
        if isinstance(settings.get(key), str):
            settings[key] = Path(settings[key]).name
    return yaml.safe_dump({key: value for key, value in settings.items() if value is not None}, sort_keys=False)
