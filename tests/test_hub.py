"""Weights on the Hugging Face Hub, against a server that speaks its protocol."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from tests.helpers.hub_server import hub_server

import spikeyolo
from spikeyolo.cli.main import main
from spikeyolo.errors import CheckpointError, ConfigError, WriteError
from spikeyolo.hub import Address, fetch
from spikeyolo.imaging.image_input import ImageInput

pytest.importorskip("huggingface_hub")
# Said within the Hub's library where it sends by its older protocol.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    with hub_server() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", running.token)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        yield running


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return spikeyolo.SpikeYOLO("t", names=["红细胞", "platelet"])


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_what_is_sent_loads_again_and_the_card_says_what_is_known(hub, model):
    page = model.push_to_hub("me/cells", private=True, license="mit")
    assert page == f"{hub.url}/me/cells"
    assert hub.private == {"me/cells": True}
    assert set(hub.repos["me/cells"]) == {"model.safetensors", "config.json", "README.md"}
    assert json.loads(hub.repos["me/cells"]["config.json"])["names"] == ["红细胞", "platelet"]
    header, text = hub.repos["me/cells"]["README.md"].decode().split("---\n")[1:]
    assert yaml.safe_load(header)["license"] == "mit"
    assert "model-index" not in yaml.safe_load(header)  # nothing was measured
    assert text.count("Not measured") == 2
    for address in ("hf://me/cells", "hf://me/cells@v1", "hf://me/cells@main"):
        again = spikeyolo.load(address)
        assert again.names == model.names
        assert equal(again, model)
    assert hub.gets == ["model.safetensors"]  # of one commit, so once


def test_without_the_network_the_cache_serves(hub, model):
    model.push_to_hub("me/cells")
    spikeyolo.load("hf://me/cells")
    hub.repos.clear()
    import huggingface_hub.constants as constants

    held = constants.ENDPOINT
    constants.ENDPOINT = constants.HUGGINGFACE_CO_URL_TEMPLATE = "http://127.0.0.1:9/{repo_id}"
    try:
        assert equal(spikeyolo.load("hf://me/cells"), model)
        with pytest.raises(CheckpointError, match="hf://me/other: the Hub cannot be reached, and nothing of it"):
            spikeyolo.load("hf://me/other")
    finally:
        constants.ENDPOINT = held


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hf://me/nothing", "no such repository, or it is private"),
        ("hf://me/cells@later", "the repository has no such revision"),
        ("hf://me/text", "holds no model.safetensors, so these are not weights of spikeyolo"),
    ],
)
def test_wrong_names_are_one_line(hub, address, said):
    hub.repos |= {"me/cells": {"model.safetensors": b"x"}, "me/text": {"README.md": b"x"}}
    with pytest.raises(CheckpointError, match=said) as error:
        spikeyolo.load(address)
    assert str(error.value).startswith(f"{address}: ")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_what_the_hub_says_is_refused_and_not_kept(hub, model):
    model.push_to_hub("me/cells")
    hub.lies = True
    with pytest.raises(CheckpointError, match="came with SHA-256"):
        fetch("hf://me/cells")
    hub.lies = False
    assert equal(spikeyolo.load("hf://me/cells"), model)


def test_a_connection_that_breaks_leaves_nothing_and_goes_on(hub, model):
    model.push_to_hub("me/cells")
    hub.cut = 1000
    with pytest.raises(CheckpointError, match="hf://me/cells: the Hub could not be used"):
        fetch("hf://me/cells")
    hub.cut = None
    assert equal(spikeyolo.load("hf://me/cells"), model)


@pytest.mark.parametrize(
    "text", ["cells", "me/cells/more", "hf://me/..", "hf://me/cells@", "hf://me/ce lls", "hf:///x"]
)
def test_addresses_that_are_none(text):
    with pytest.raises(ConfigError, match="expected hf://owner/name"):
        Address.of(text)


def test_sending_without_a_right_token_is_one_line(hub, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(WriteError, match=r"hf://me/cells: the Hub does not allow it \(401\)"):
        model.push_to_hub("me/cells")
    assert hub.repos == {}


def test_the_command_measures_and_shows_what_would_be_sent(tmp_path, model, shapes, capsys):
    data = shapes / "data.yaml" if shapes.is_dir() else shapes
    names = yaml.safe_load(data.read_text(encoding="utf-8"))["names"]
    spikeyolo.SpikeYOLO("t", names=names, input=ImageInput.of(64)).save(tmp_path / "best.safetensors")
    (tmp_path / "config.yaml").write_text("data: /home/me/secret/data.yaml\nepochs: 3\n", encoding="utf-8")
    (tmp_path / "results.csv").write_text("epoch\n", encoding="utf-8")
    words = f"hub push --weights {tmp_path}/best.safetensors --repo me/shapes --data {data} --out {tmp_path}/look"
    assert main(words.split()) == 0
    assert "nothing was sent" in capsys.readouterr().out
    card = (tmp_path / "look" / "README.md").read_text(encoding="utf-8")
    assert "secret" not in card
    assert "epochs: 3" in card
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["model-index"][0]["results"][0]["dataset"]["name"] == data.parent.name
    (result,) = header["model-index"][0]["results"]
    assert {metric["type"] for metric in result["metrics"]} == {"AP", "AP50"}
    counted = re.search(r"energy of one image, operations alone \| ([\d.]+) mJ", card)
    assert counted
    assert float(counted[1]) > 0
    assert equal(spikeyolo.load(tmp_path / "look" / "model.safetensors"), spikeyolo.load(tmp_path / "best.safetensors"))


def test_a_card_takes_no_settings_that_are_of_something_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("password: 12345\n", encoding="utf-8")
    folder = spikeyolo.push_to_hub("t-bccd", "me/cells", out=tmp_path / "look")
    assert "12345" not in Path(folder, "README.md").read_text(encoding="utf-8")
