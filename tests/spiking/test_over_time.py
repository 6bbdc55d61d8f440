import pytest
import torch
from torch import nn

import spikeyolo
from spikeyolo import ILIF, OverTime, SpikingNeuron, ilif
from spikeyolo.errors import ShapeError


class Ternary(SpikingNeuron):
    """Half of what comes, rounded."""

    def step(self, current, v):
        return (current / 2).round().clamp(0, self.max_count), v


def test_layers_run_on_each_timestep():
    torch.manual_seed(0)
    conv, frames = nn.Conv2d(3, 5, 3, padding=1), torch.randn(4, 2, 3, 8, 8)
    over = OverTime(conv, nn.MaxPool2d(2))
    expected = torch.stack([nn.functional.max_pool2d(conv(frame), 2) for frame in frames])
    torch.testing.assert_close(over(frames), expected)
    assert over.state_dict().keys() == {"0.weight", "0.bias"}
    numbers = torch.randn(4, 2, 6)
    linear = nn.Linear(6, 3)
    torch.testing.assert_close(OverTime(linear)(numbers), torch.stack([linear(step) for step in numbers]))


def test_a_norm_sees_all_timesteps_together():
    frames = torch.randn(3, 4, 2, 5, 5) * 3 + 1
    normed = OverTime(nn.BatchNorm2d(2))(frames)
    torch.testing.assert_close(normed.mean((0, 1, 3, 4)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.var((0, 1, 3, 4), correction=0), torch.ones(2), atol=1e-3, rtol=0)


def test_a_network_with_time_and_gradients():
    torch.manual_seed(0)
    network = nn.Sequential(OverTime(nn.Conv2d(3, 8, 3)), ILIF(), OverTime(nn.Conv2d(8, 4, 3)))
    frames = torch.rand(2, 3, 3, 12, 12)
    out = network(frames)
    assert out.shape == (2, 3, 4, 8, 8)
    one_by_one = torch.cat([network(frames[:, i : i + 1]) for i in range(3)], dim=1)
    torch.testing.assert_close(out, one_by_one)  # images do not see each other: they are no timesteps
    out.sum().backward()
    assert network[0][0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("layer", [ILIF(), ILIF(scales=1), ILIF(scales=3), Ternary(3, 4)])
def test_a_batch_without_time_is_refused(layer):
    images = torch.rand(2, 3, 16, 16)
    with pytest.raises(ShapeError, match=r"\(2, 3, 16, 16\) may be a batch.*unsqueeze\(0\)"):
        layer(images)
    with pytest.raises(ShapeError, match="without time"):
        nn.Sequential(nn.Conv2d(3, 3, 1), layer, nn.Conv2d(3, 3, 1))(images)
    assert layer(images.unsqueeze(0)).shape == (1, 2, 3, 16, 16)


@pytest.mark.parametrize("shape", [(5,), (5, 7), (5, 2, 7), (5, 2, 3, 4, 4), (5, 2, 3, 4, 4, 2)])
def test_any_other_number_of_axes_will_do(shape):
    x = torch.randn(shape) * 4
    expected, v = [], torch.zeros(shape[1:])
    for current in x:  # the equation as it is printed
        h = 0.25 * v + current
        expected.append(h.clamp(0, 4).round())
        v = h - expected[-1]
    torch.testing.assert_close(spikeyolo.ILIF()(x), torch.stack(expected))
    torch.testing.assert_close(ilif(x), torch.stack(expected))


def test_the_function_takes_four_axes():
    x = torch.rand(3, 2, 4, 4) * 3
    torch.testing.assert_close(ilif(x), ILIF()(x.unsqueeze(1)).squeeze(1))


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ([nn.Identity()], torch.zeros(4, 2)),
        ([nn.Flatten(0, 1)], torch.zeros(2, 2, 3, 3)),
        ([nn.LSTM(3, 2)], torch.zeros(2, 2, 3)),
    ],
)
def test_what_is_not_an_image_for_each_is_refused(layers, x):
    with pytest.raises(ShapeError, match="OverTime"):
        OverTime(*layers)(x)
