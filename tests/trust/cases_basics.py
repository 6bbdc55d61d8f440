"""Mistakes that everybody makes."""

from tests.trust.harness import Case

CASES = [
    Case(
        "predict: weights that are not there", "predict --weights no.safetensors --source photo.jpg", "no.safetensors"
    ),
    Case("predict: text in place of weights", "predict --weights notes.txt --source photo.jpg", "notes.txt"),
    Case(
        "predict: a source that is not there", "predict --weights model.safetensors --source no.jpg", "no.jpg: no such"
    ),
    Case("predict: text in place of images", "predict --weights model.safetensors --source notes.txt", "notes.txt"),
    Case("val: data that are not there", "val --weights model.safetensors --data no.yaml", "no.yaml"),
    Case(
        "val: weights in place of data", "val --weights model.safetensors --data model.safetensors", "model.safetensors"
    ),
    Case("train: data that are not there", "train --data no.yaml --model t", "no.yaml"),
    Case("a command that does not exist", "trian", "did you mean 'train'?", code=2),
    Case("an option that does not exist", "val --wieghts model.safetensors", "did you mean '--weights'?", code=2),
]
