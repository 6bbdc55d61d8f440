import math
import os
import pickle
import re
import zipfile

import pytest
import torch
from tests.helpers.golden import GOLDEN, golden_json
from tests.helpers.published import archive, read_inert, rewritten, saved_again, tensor_program

import spikeyolo
from spikeyolo.cli.main import main
from spikeyolo.errors import CheckpointError
from spikeyolo.interop.names import published_name
from spikeyolo.interop.reference import from_published
from spikeyolo.model.presets import network_config

SHAPES = {"n": "n", "s": "s", "m_last2": "m", "l_last2": "l"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tiny", {"timesteps": 1, "neuron": "coco", "max_count": 4, "num_classes": 10}),
        ("tiny_t4", {"timesteps": 4, "neuron": "coco", "max_count": 4, "num_classes": 10}),
        ("gen1_tiny", {"timesteps": 2, "neuron": "gen1", "max_count": 4, "num_classes": 2}),
    ],
)
def test_config_is_read_from_the_file(name, expected):
    model = spikeyolo.load_reference(GOLDEN / name / "reference.pt")
    assert model.config == network_config("t", **expected)
    assert len(model.names) == expected["num_classes"]
    assert model.names[0] == {"gen1_tiny": "car"}.get(name, "class0")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training


@pytest.mark.parametrize("published", ["n", "s", "m", "l", "m_last2", "l_last2"])
def test_published_state_dicts_fit_with_no_key_left_over(published):
    shapes = golden_json("state_dict_shapes.json")[published]
    preset, _, last = published.partition("_last")
    config = network_config(preset, last_ratio=int(last or 1))
    with torch.device("meta"):
        tensors = {k: torch.zeros(shape) for k, shape in shapes.items()}
        model = spikeyolo.SpikeYOLO(config)
    tensors["model.26.dfl.conv.weight"] = torch.arange(16.0).view(1, 16, 1, 1)
    renamed = from_published(tensors, config)
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in renamed.items()} == own
    assert len(own) + 1 == len(shapes)  # the one more is the constant 0..15


def test_every_name_is_translated_to_another():
    config = network_config("s")
    with torch.device("meta"):
        names = [name for name, _ in spikeyolo.SpikeYOLO(config).named_parameters()]
    assert len({published_name(name, config) for name in names}) == len(names)


# ---- files that are not what they should be -------------------------------------------------------------------------


class Command:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


GOOD = GOLDEN / "tiny" / "reference.pt"


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_a_command_runs_nothing(tmp_path, protocol):
    trace = tmp_path / "trace"
    path = archive(tmp_path / "evil.pt", pickle.dumps({"model": Command(trace)}, protocol))
    with pytest.raises(CheckpointError, match=r"evil\.pt.*nothing of it was run.*system"):
        spikeyolo.load_reference(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("subprocess", "Popen"),
        ("spikeyolo.cli.main", "main"),
        ("torch.nn.modulesX", "Conv2d"),
    ],
)
def test_names_that_no_checkpoint_contains(tmp_path, module, name):
    path = archive(tmp_path / "evil.pt", f"c{module}\n{name}\n.".encode())
    with pytest.raises(CheckpointError, match=re.escape(f"{module}.{name}")):
        read_inert(path)


def test_known_class_names_become_inert(tmp_path):
    program = b"cultralytics.nn.tasks\nDetectionModel\n(S'rm -rf'\ntR}S'a'\nI7\nsb."
    node = read_inert(archive(tmp_path / "m.pt", program))
    assert node.kind == "ultralytics.nn.tasks.DetectionModel"
    assert node.attributes == {"a": 7}


def test_a_truncated_zip(tmp_path):
    path = tmp_path / "cut.pt"
    path.write_bytes(GOOD.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"cut\.pt: not a PyTorch checkpoint, or cut short"):
        spikeyolo.load_reference(path)


def test_a_pickle_cut_short(tmp_path):
    path = rewritten(GOOD, tmp_path / "cut.pt", lambda program: program[:1000])
    with pytest.raises(CheckpointError, match=r"cut\.pt"):
        spikeyolo.load_reference(path)


@pytest.mark.parametrize("content", [b"", b"epoch, loss\n1, 2.5\n"])
def test_an_empty_and_a_text_file(tmp_path, content):
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint"):
        spikeyolo.load_reference(path)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        spikeyolo.load_reference(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="is a folder"):
        spikeyolo.load_reference(tmp_path)


def test_a_checkpoint_of_another_network(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"model": torch.nn.Linear(2, 2)}, path)
    with pytest.raises(CheckpointError, match=r"other\.pt: not a SpikeYOLO network: it has no model"):
        spikeyolo.load_reference(path)
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="neither 'model' nor 'ema'"):
        spikeyolo.load_reference(path)
    torch.save(torch.zeros(2), path)
    with pytest.raises(CheckpointError, match="holds no dictionary"):
        spikeyolo.load_reference(path)


def renamed(old, new):
    def change(program):
        assert program.count(old) >= 1
        assert len(old) == len(new)  # lengths are written before the names
        return program.replace(old, new, 1)

    return change


def test_a_missing_and_an_extra_key(tmp_path):
    # The first module's "encode_bn" is called otherwise: its five keys are missing, and five are left over.
    path = rewritten(GOOD, tmp_path / "renamed.pt", renamed(b"encode_bn", b"encode_xx"))
    with pytest.raises(
        CheckpointError, match=r"missing \d+: model\.1\.encode_bn\..*left over \d+: model\.1\.encode_xx"
    ):
        spikeyolo.load_reference(path)


def tensors_of(name="tiny"):
    model = spikeyolo.load_reference(GOLDEN / name / "reference.pt")
    state = {published_name(key, model.config): value for key, value in model.state_dict().items()}
    return {**state, "model.26.dfl.conv.weight": torch.arange(16.0).view(1, 16, 1, 1)}, model.config


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda bn: None, None),
        (lambda bn: bn.attributes["_parameters"].pop("bias"), r"missing 1: model\.10\.bn\.bias$"),
        (
            lambda bn: bn.attributes["_parameters"].update(more=torch.zeros(1)),
            r"left over 1: model\.10\.bn\.more$",
        ),
        (lambda bn: bn.attributes["_parameters"]["bias"].fill_(math.nan), r"neck\.reduce5\.norm\.bias holds NaN"),
        (lambda bn: bn.attributes["_buffers"]["running_var"].fill_(-1), r"norm\.running_var holds a variance below 0"),
    ],
    ids=["unchanged", "one missing", "one more", "NaN", "negative variance"],
)
def test_a_file_with_one_key_missing_or_one_more(tmp_path, capsys, change, said):
    content = read_inert(GOOD)
    layer = content["model"].get("_modules")["model"].get("_modules")["10"]
    change(layer.get("_modules")["bn"])
    path = saved_again(content, tmp_path / "changed.pt")
    code = main(["convert", str(path), str(tmp_path / "m.safetensors")])
    errors = capsys.readouterr().err.strip()
    if said is None:
        assert (code, errors) == (0, "")
    else:
        assert code == 1
        assert re.search(said, errors)
        assert errors.count("\n") == 0
    assert (tmp_path / "m.safetensors").exists() == (said is None)


def test_one_key_missing_and_one_key_more():
    tensors, config = tensors_of()
    assert len(from_published(tensors, config)) == len(tensors) - 1
    with pytest.raises(CheckpointError, match=r"missing 1: model\.10\.bn\.bias$"):
        from_published({k: v for k, v in tensors.items() if k != "model.10.bn.bias"}, config)
    with pytest.raises(CheckpointError, match=r"left over 1: model\.27\.weight$"):
        from_published({**tensors, "model.27.weight": torch.zeros(1)}, config)


def test_other_bins_are_another_box_head(tmp_path):
    content = read_inert(GOOD)
    head = content["model"].get("_modules")["model"].get("_modules")["26"]
    head.get("_modules")["dfl"].get("_modules")["conv"].attributes["_parameters"]["weight"].fill_(1)
    with pytest.raises(CheckpointError, match="another kind of box head"):
        spikeyolo.load_reference(saved_again(content, tmp_path / "bins.pt"))


def test_an_archive_that_would_unpack_to_more_than_it_is(tmp_path):
    path = rewritten(GOOD, tmp_path / "bomb.pt", lambda program: program, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        spikeyolo.load_reference(path)


def test_a_storage_that_is_missing(tmp_path):
    path = rewritten(GOOD, tmp_path / "hole.pt", lambda program: program, drop=("100",))
    with pytest.raises(CheckpointError, match="data/100"):
        spikeyolo.load_reference(path)


def test_a_memo_position_of_two_billion_takes_no_memory(tmp_path):
    assert read_inert(archive(tmp_path / "memo.pt", b"\x80\x02Nr\xff\xff\xff\x7f.")) is None


def archive_with_storage(path, program):
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("x/data.pkl", program)
        new.writestr("x/data/0", torch.arange(4.0).numpy().tobytes())
    return path


def test_tensors_of_any_gpu_come_to_the_cpu(tmp_path):
    tensor = read_inert(archive_with_storage(tmp_path / "t.pt", tensor_program((2, 2), (1, 2))))
    assert tensor.device.type == "cpu"
    assert tensor.tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    ("size", "stride", "offset", "numel"),
    [
        ((5,), (1,), 0, 4),
        ((2,), (4,), 0, 4),
        ((2,), (1,), 3, 4),
        ((2,), (1,), -1, 4),
        ((10**9,), (0,), 0, 4),
        ((2,), (1,), 0, 8),
    ],
)
def test_tensors_that_reach_beyond_their_storage(tmp_path, size, stride, offset, numel):
    path = archive_with_storage(tmp_path / "t.pt", tensor_program(size, stride, offset, numel))
    with pytest.raises(CheckpointError, match=r"does not fit|bytes for"):
        read_inert(path)


def test_a_module_tree_without_end(tmp_path):
    # root._modules["model"] is root itself
    program = (
        b"\x80\x02}X\x05\x00\x00\x00modelcultralytics.nn.tasks\nDetectionModel\n)\x81q\x00"
        b"}X\x08\x00\x00\x00_modules}X\x05\x00\x00\x00modelh\x00ssbs."
    )
    with pytest.raises(CheckpointError, match="no end"):
        spikeyolo.load_reference(archive(tmp_path / "loop.pt", program))


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_end_in_one_error_or_in_the_same_weights(tmp_path, seed):
    """Noise in the pickle: whatever happens, it is our error or a model, never another exception."""
    generator = torch.Generator().manual_seed(seed)

    def noise(program):
        noisy = bytearray(program)
        for position in torch.randint(0, len(noisy), (3,), generator=generator).tolist():
            noisy[position] = int(torch.randint(0, 256, (1,), generator=generator))
        return bytes(noisy)

    path = rewritten(GOOD, tmp_path / "noisy.pt", noise)
    try:
        model = spikeyolo.load_reference(path)
    except CheckpointError as error:
        said = str(error)
    else:
        said = f"noisy.pt {model.config}"
    assert "noisy.pt" in said
