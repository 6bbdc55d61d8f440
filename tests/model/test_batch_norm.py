"""The batch norms of the network, and what recomputing blocks leaves of their statistics."""

import copy

import torch
from torch import nn

from spikeyolo.model.blocks import SpikingBlock, batch_norm
from spikeyolo.spiking import ILIF


def test_batches_are_not_counted_and_what_a_file_counted_stays():
    norm = batch_norm(3)
    norm.load_state_dict({**norm.state_dict(), "num_batches_tracked": torch.tensor(7)})
    plain = nn.BatchNorm2d(3, norm.eps, norm.momentum)
    for _ in range(2):
        x = torch.randn(2, 3, 4, 4)
        assert torch.equal(norm(x), plain(x))
    assert norm.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(norm.running_var, plain.running_var)
    assert norm.num_batches_tracked == 7
    norm.eval()
    assert torch.equal(norm(x), plain.eval()(x))


def test_norms_of_several_gpus_learn_once_where_blocks_are_recomputed():
    once = nn.SyncBatchNorm.convert_sync_batchnorm(SpikingBlock(6, 2, lambda _: ILIF(), rep=True))
    twice = copy.deepcopy(once)
    twice.recompute = True
    x = torch.randn(1, 2, 6, 8, 8, requires_grad=True)
    for block in (once, twice):
        block(x).sum().backward()
    after = twice.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in once.state_dict().items())
    assert once.token_mixer[0].norm.num_batches_tracked == 1
