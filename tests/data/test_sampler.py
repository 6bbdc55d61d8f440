from __future__ import annotations

import itertools

import numpy as np
import pytest

from spikeyolo.data.sampler import EpochBatchSampler
from spikeyolo.errors import ConfigError


def images(sampler: EpochBatchSampler) -> list[list[int]]:
    return [[image for _, image in batch] for batch in sampler]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8, 9, 24])
@pytest.mark.parametrize("batch", [1, 2, 3, 16])
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_evaluation_sees_each_image_exactly_once(length: int, batch: int, replicas: int) -> None:
    samplers = [
        EpochBatchSampler(length, batch, shuffle=False, num_replicas=replicas, rank=rank) for rank in range(replicas)
    ]
    batches = [images(sampler) for sampler in samplers]
    seen = list(itertools.chain.from_iterable(itertools.chain.from_iterable(batches)))
    assert sorted(seen) == list(range(length))
    assert [len(b) for b in batches] == [len(s) for s in samplers]
    assert max(map(len, batches)) - min(map(len, batches)) <= 1


def test_evaluation_of_one_process_is_in_order() -> None:
    assert images(EpochBatchSampler(5, 2, shuffle=False)) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(("length", "replicas"), [(16, 2), (17, 2), (19, 2), (20, 3), (16, 4), (22, 4)])
def test_processes_together_learn_what_one_would(length: int, replicas: int) -> None:
    alone = images(EpochBatchSampler(length, 12, shuffle=True, seed=3))
    samplers = [
        EpochBatchSampler(length, 12 // replicas, shuffle=True, seed=3, num_replicas=replicas, rank=rank)
        for rank in range(replicas)
    ]
    parts = [images(sampler) for sampler in samplers]
    assert len({len(part) for part in parts}) == 1  # or processes would wait for each other for ever
    joined = [list(itertools.chain.from_iterable(batches)) for batches in zip(*parts, strict=True)]
    left_out = length % 12 if 0 < length % 12 < replicas else 0
    assert joined == (alone[:-1] if left_out else alone)


def test_epochs_differ_seeds_differ_and_repeat() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = EpochBatchSampler(50, 8, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        assert {e for batch in sampler for e, _ in batch} == {epoch}
        return images(sampler)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert sorted(itertools.chain.from_iterable(order(1, 2))) == list(range(50))


def test_drop_last() -> None:
    assert [len(b) for b in images(EpochBatchSampler(10, 4, shuffle=True))] == [4, 4, 2]
    assert [len(b) for b in images(EpochBatchSampler(10, 4, shuffle=True, drop_last=True))] == [4, 4]


@pytest.mark.parametrize("used", range(6))
def test_continues_in_the_middle_of_an_epoch(used: int) -> None:
    whole = EpochBatchSampler(20, 4, shuffle=True, seed=1)
    whole.set_epoch(3)
    continued = EpochBatchSampler(20, 4, shuffle=True, seed=1)
    continued.load_state_dict({"epoch": 3, "start": used})
    continued.set_epoch(3)  # what a trainer calls before every epoch: it must not begin anew
    assert images(continued) == images(whole)[used:]
    assert len(continued) == 5
    continued.set_epoch(4)
    assert len(images(continued)) == 5


@pytest.mark.parametrize(
    "wrong",
    [{"length": -1}, {"batch_size": 0}, {"seed": -1}, {"rank": 2, "num_replicas": 2}, {"rank": -1}],
)
def test_numbers_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        EpochBatchSampler(**({"length": 5, "batch_size": 2, "shuffle": True} | wrong))


def test_keys_are_plain_integers() -> None:
    key = next(iter(EpochBatchSampler(4, 2, shuffle=True)))[0]
    assert [type(part) for part in key] == [int, int]
    assert not any(isinstance(part, np.integer) for part in key)
