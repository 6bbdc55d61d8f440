"""`spikeyolo convert`: a published checkpoint as safetensors."""

from __future__ import annotations

from ..terminal import say


def convert(reference: str, out: str, overwrite: bool = False) -> None:
    """Turn a published checkpoint into a safetensors file, without running anything that the checkpoint contains.

    Args:
        reference: the published file, for example best.pt
        out: the file to write, ending in .safetensors

    Examples:
        spikeyolo convert best.pt best.safetensors
    """
    from ..files import new_file
    from ..interop.reference import load_reference

    target = new_file(out, [".safetensors"], reads=[reference], overwrite=overwrite)
    model = load_reference(reference)
    model.save(target)
    config = model.config
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    decay, gain = config.dynamics
    say(
        f"{out}: {millions:.2f} M parameters, {config.num_classes} classes, T = {config.timesteps}, "
        f"D = {config.max_count}, decay {decay:g}, gain {gain:g}"
    )
