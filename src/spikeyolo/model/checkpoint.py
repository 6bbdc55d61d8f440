"""One safetensors file: weights, and in its metadata the config, the class names and the form of the convolutions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from ..errors import CheckpointError, ConfigError
from ..files import write_atomically
from .blocks import use_channels_last
from .detector import FORMS, INTEGER, SpikeYOLO
from .presets import NetworkConfig

FORMAT = "spikeyolo"
FORMAT_VERSION = 1


def save(model: SpikeYOLO, path: str | os.PathLike[str]) -> None:
    """Writes a model so that `load` gives it back, in its form and dtype; see `write_atomically` for failures."""
    metadata = {
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "config": json.dumps(model.config.to_dict()),
        "names": json.dumps(model.names),
        "form": model.form,
    }
    if model.preparation is not None:
        metadata["preparation"] = json.dumps(model.preparation)
    if model.fraction_bits is not None:
        metadata["fraction_bits"] = str(model.fraction_bits)
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    write_atomically(Path(path), to_bytes(tensors, metadata))


def load(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> SpikeYOLO:
    """Builds the model a file describes and fills it with the file's weights, in the file's dtype, ready to predict.

    Raises:
        CheckpointError: the file is missing, damaged, of another kind or version, or does not fit its own config.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a safetensors file ({error}); published .pt files are turned into one by `spikeyolo convert`"
        ) from error
    with torch.device("meta"):  # shapes alone: the weights come from the file
        model = _described_model(path, metadata)
    fill(model, tensors, str(path))
    return model.to(device).eval()


def _described_model(path: Path, metadata: dict[str, str]) -> SpikeYOLO:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: a safetensors file, but not of spikeyolo (metadata 'format' is missing)")
    if metadata.get("version") != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: format version {metadata.get('version')}, this spikeyolo reads {FORMAT_VERSION}; "
            "install a newer one"
        )
    try:
        config = NetworkConfig.from_dict(json.loads(metadata["config"]))
        model = SpikeYOLO(config, names=json.loads(metadata["names"]))
        model.preparation = json.loads(metadata.get("preparation", "null"))
        form = metadata["form"]
        fraction_bits = int(metadata["fraction_bits"]) if form == INTEGER else None
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be used ({error})") from error
    if form not in FORMS:
        raise CheckpointError(f"{path}: unknown form {form!r}")
    model.take_form(form, fraction_bits)
    return model


def fill(model: SpikeYOLO, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Gives a model the tensors of a state dict, of which every key must fit; says by name what does not.

    Raises:
        CheckpointError: keys missing or left over, or a shape that differs; the model is unchanged.
    """
    own = model.state_dict()
    missing, extra = own.keys() - tensors.keys(), tensors.keys() - own.keys()
    if missing or extra:
        raise CheckpointError(
            f"{source}: does not fit the network: {_some('missing', missing)}{_some('left over', extra)}".rstrip("; ")
        )
    for key, value in own.items():
        if tensors[key].shape != value.shape:
            raise CheckpointError(
                f"{source}: {key} has shape {tuple(tensors[key].shape)}, the network's is {tuple(value.shape)}"
            )
    model.load_state_dict(tensors, assign=True)
    use_channels_last(model)


def _some(what: str, keys: set[str], most: int = 3) -> str:
    if not keys:
        return ""
    listed = ", ".join(sorted(keys)[:most])
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{what} {len(keys)}: {listed}{more}; "
