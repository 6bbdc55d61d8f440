from __future__ import annotations

import pytest
import yaml

from spikeyolo.data.images.augmentation import Augmentation
from spikeyolo.errors import ConfigError
from spikeyolo.training.settings import TrainSettings, read_settings, recipe_names, recipe_path


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epoch": 3}, "epoch: no such setting, did you mean 'epochs'"),
        ({"epochs": 0}, "epochs: 0 must be at least 1"),
        ({"imgsz": 100}, "multiple of 32"),
        ({"lr": -1.0}, "above 0"),
        ({"momentum": 1.0}, "below 1"),
        ({"epochs": "many"}, "wrong type"),
        ({"augmentation": {"mosaik": 1}}, "augmentation.mosaik: no such setting, did you mean 'mosaic'"),
        ({"augmentation": {"mosaic": 2}}, "augmentation.mosaic: 2 is outside"),
        ({"gains": {"box": 1.0, "dfl": 1.0}}, "gains.dfl: no such setting"),
    ],
)
def test_what_cannot_be_is_refused_by_name(values, said):
    with pytest.raises(ConfigError, match=said):
        TrainSettings.from_dict(values)


def test_yaml_and_back_gives_the_same_settings(tmp_path):
    settings = TrainSettings(
        data="x.yaml", freeze=["backbone"], augmentation=Augmentation(mosaic=0.25), precision="bf16"
    )
    (tmp_path / "config.yaml").write_text(settings.to_yaml())
    assert read_settings(tmp_path / "config.yaml") == settings


def test_defaults_are_the_published_recipe():
    recipe = read_settings(recipe_path("published"))
    # The published batch of 40 needs four GPUs; the default is what the command line promises.
    assert TrainSettings(batch=40) == recipe
    published = {"lr": 0.01, "final_lr": 0.004, "momentum": 0.937, "weight_decay": 5e-4, "nominal_batch": 64}
    published |= {"warmup_epochs": 10, "warmup_momentum": 0.8, "warmup_bias_lr": 0.1, "clip": 10, "seed": 0}
    published |= {"ema_decay": 0.9999, "ema_ramp": 2000, "epochs": 300, "optimizer": "sgd", "schedule": "linear"}
    assert {name: getattr(recipe, name) for name in published} == published
    assert (recipe.augmentation.mosaic, recipe.augmentation.close_mosaic) == (1.0, 10)


def test_shipped_recipes_are_settings_that_can_be():
    assert {"published", "small"} <= set(recipe_names())
    for name in recipe_names():
        assert set(yaml.safe_load(recipe_path(name).read_text())) <= set(TrainSettings().to_dict())
        read_settings(recipe_path(name))


def test_unknown_recipe_and_broken_file(tmp_path):
    with pytest.raises(ConfigError, match="published, small"):
        recipe_path("huge")
    (tmp_path / "x.yaml").write_text("just words")
    with pytest.raises(ConfigError, match="name: value"):
        read_settings(tmp_path / "x.yaml")
