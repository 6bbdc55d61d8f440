"""Learning from a teacher: who can be one, and what is and is not kept of it."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from spikeyolo import SpikeYOLO
from spikeyolo.detection.distillation import standardised
from spikeyolo.detection.gains import DistillationGains
from spikeyolo.errors import CheckpointError, ConfigError
from spikeyolo.events import EventInput
from spikeyolo.imaging.image_input import ImageInput
from spikeyolo.training.aids.distillation import Distillation
from spikeyolo.training.aids.neck import neck_features
from spikeyolo.training.aids.teacher import Teacher
from spikeyolo.training.optimization import Position

NAMES, INPUT, POSITION = ("red", "green"), ImageInput.of(64), Position(0.1, 0.1, 0.9, 1)


@pytest.fixture
def saved(tmp_path):
    """Writes a network as a file."""

    def write(preset="t", names=NAMES, form=None, **changes):
        torch.manual_seed(0)
        model = SpikeYOLO(preset, names=names, **changes)
        file = tmp_path / "teacher.safetensors"
        (model if form is None else getattr(model, form)()).save(file)
        return str(file)

    return write


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"names": ("red",)}, ConfigError, r"teacher: .*safetensors knows 1 classes, the data have 2"),
        ({"names": ("green", "red")}, ConfigError, r"teacher: class 0 is 'green' to .* and 'red' in the data"),
        ({"in_channels": 2}, ConfigError, r"teacher: .* does not see what .*: input: images have 3 channels"),
        ({"form": "to_integer"}, CheckpointError, r"teacher: .* holds the integer form"),
        ({"form": "to_spike_driven"}, CheckpointError, r"teacher: .* holds the spike-driven form"),
    ],
    ids=["fewer classes", "in another order", "channels", "integers", "spikes"],
)
def test_who_cannot_teach_is_refused(saved, changes, error, said):
    with pytest.raises(error, match=said):
        Teacher(saved(**changes), NAMES, INPUT)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match="teacher: 's' is a preset; name the file of a trained network"):
        Teacher("s", NAMES, INPUT)
    with pytest.raises(CheckpointError, match=r"teacher: .*missing\.safetensors: no such file"):
        Teacher(str(tmp_path / "missing.safetensors"), NAMES, INPUT)


def test_a_teacher_of_other_frames_is_refused(saved):
    own = EventInput.of({"representation": "count_frames", "timesteps": 2})
    file = saved("t-gen1", in_channels=2, input=own)
    assert Teacher(file, NAMES, replace(own, window_us=50_000)).network.config.timesteps == 2
    with pytest.raises(ConfigError, match="was trained with order oldest-first, the training has newest-first"):
        Teacher(file, NAMES, replace(own, order="newest-first"))
    with pytest.raises(ConfigError, match="gives T, C = 3, 2; the network takes 2, 2"):
        Teacher(file, NAMES, own.with_timesteps(3))


@pytest.mark.few(1)
@pytest.mark.parametrize("form", [None, "fold"])
@pytest.mark.parametrize(
    "changes", [{"neuron": "relu"}, {"preset": "n", "timesteps": 2}], ids=["twin", "larger, T = 2"]
)
def test_a_teacher_looks_as_its_file_does(saved, changes, form):
    """Of any size, neuron and T; features averaged over its timesteps."""
    file, images = saved(**changes, form=form), torch.rand(2, 3, 64, 64)
    teacher, model = Teacher(file, NAMES, INPUT), SpikeYOLO.load(file)
    features, logits = teacher.look(images)
    with neck_features(model) as seen, torch.no_grad():
        expected = (model if form else model.fold())(images)
    assert all(torch.equal(a, b) for a, b in zip(logits, expected, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(features, seen[0], strict=True))
    sizes = [
        (2, channels, 64 // stride, 64 // stride)
        for channels, stride in zip(model.neck.out_channels, (8, 16, 32), strict=True)
    ]
    assert [tuple(level.shape) for level in features] == sizes
    assert not any(level.requires_grad for level in (*features, *logits))


def test_features_are_averaged_over_timesteps():
    model, images, levels = SpikeYOLO("t", num_classes=2, timesteps=3).eval(), torch.rand(2, 3, 64, 64), []
    handle = model.neck.register_forward_hook(lambda _, __, output: levels.extend(output))
    with neck_features(model) as found, torch.no_grad():
        model(images)
        handle.remove()
        model(images)
    assert len(found) == 2
    for level, mean in zip(levels, found[0], strict=True):
        assert level.shape[0] == 3
        torch.testing.assert_close(mean, (level[0] + level[1] + level[2]) / 3)


def distilled(file, student, gains=DistillationGains()):  # noqa: B008 - frozen
    aid = Distillation(Teacher(file, NAMES, INPUT), student, gains, seed=3)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with aid.watching(student):
        logits = student(images)
    return aid, images, aid.terms(images, logits, POSITION)


def test_who_equals_the_teacher_has_nothing_to_learn(saved):
    """The projectors, set by hand, give each channel the teacher's mean of 0 and variance of 1."""
    file = saved(neuron="relu")
    student = Teacher(file, NAMES, INPUT).network
    aid, images, terms = distilled(file, student)
    assert terms["soft_class_loss"].total == terms["soft_box_loss"].total == 0
    assert float(terms["feature_loss"].total.detach()) > 0.1
    features, _ = aid.teacher.look(images)
    with torch.no_grad():
        for project, level in zip(aid.projectors, features, strict=True):
            mean, unit = level.mean((0, 2, 3)), standardised(level)
            slope = (
                (unit * level).mean((0, 2, 3)) / ((level - mean.view(1, -1, 1, 1)) ** 2).mean((0, 2, 3))
            ).nan_to_num()
            project.weight.copy_(torch.diag(slope).view_as(project.weight))
            project.bias.copy_(-slope * mean)
        with aid.watching(student):
            logits = student(images)
        found = aid.terms(images, logits, POSITION)["feature_loss"]
    assert float(found.total / found.weight) < 1e-6


def test_gains_are_those_of_the_terms_and_gradients_reach_student_and_projectors(saved):
    student = SpikeYOLO("t", num_classes=2)
    aid, _, terms = distilled(saved("n"), student, DistillationGains(features=2.0, classes=3.0, boxes=4.0))
    assert [term.gain for term in terms.values()] == [2, 3, 4]
    assert terms["feature_loss"].weight is terms["soft_box_loss"].weight
    sum(term.total for term in terms.values()).backward()
    for part in (student, aid):
        assert all(bool(p.grad.abs().sum() > 0) for p in part.parameters() if p.ndim > 1)
    assert all(p.grad is None for p in aid.teacher.network.parameters())


def test_parts_without_a_gain_are_left_out(saved):
    """Projectors without a gradient would stop several processes."""
    aid, _, terms = distilled(saved("n"), SpikeYOLO("t", num_classes=2), DistillationGains(features=0.0, boxes=0.0))
    assert list(terms) == ["soft_class_loss"]
    assert not list(aid.parameters())


def test_of_a_teacher_only_the_projectors_are_trained_averaged_and_kept(saved):
    student = SpikeYOLO("t", num_classes=2)
    aid, _, _ = distilled(saved("n"), student)
    widths = list(zip(student.neck.out_channels, aid.teacher.network.neck.out_channels, strict=True))
    assert {name: tuple(value.shape) for name, value in aid.state_dict().items()} == {
        f"projectors.{level}.{name}": shape
        for level, (mine, theirs) in enumerate(widths)
        for name, shape in (("weight", (theirs, mine, 1, 1)), ("bias", (theirs,)))
    }
    copied = copy.deepcopy(aid)
    assert copied.teacher is aid.teacher
    assert copied.projectors[0].weight is not aid.projectors[0].weight
    aid.train()
    assert not aid.teacher.network.training


def test_the_same_seed_gives_the_same_projectors_and_leaves_other_random_numbers_alone(saved):
    file, student = saved(), SpikeYOLO("t", num_classes=2)
    teacher = Teacher(file, NAMES, INPUT)
    torch.manual_seed(1)
    first = Distillation(teacher, student, DistillationGains(), seed=3)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)
    second, other = (Distillation(teacher, student, DistillationGains(), seed=seed) for seed in (3, 4))
    assert torch.equal(first.projectors[0].weight, second.projectors[0].weight)
    assert not torch.equal(first.projectors[0].weight, other.projectors[0].weight)


def test_a_record_knows_a_file_by_its_content(saved, tmp_path):
    file, record = saved(), tmp_path / "teacher.json"
    Teacher(file, NAMES, INPUT).keep_record(record)
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes((tmp_path / "teacher.safetensors").read_bytes())
    Teacher(str(moved), NAMES, INPUT).keep_record(record)
    assert str(moved) in record.read_text()
    with pytest.raises(ConfigError, match=r"is not the file that this run has learnt from so far \(then .*moved"):
        Teacher(saved("n"), NAMES, INPUT).keep_record(record)
    record.write_text("[]")
    with pytest.raises(ConfigError, match=r"teacher\.json: not what a run keeps of its teacher"):
        Teacher(file, NAMES, INPUT).keep_record(record)
