"""The last.ckpt of a stranger's run."""

from __future__ import annotations

import io

import torch
from tests.trust.harness import Case
from tests.trust.weights import (
    EVIL,
    LAST,
    Prepare,
    cut,
    key_of,
    last,
    nested,
    program,
    run_with,
    special,
    whole,
)

RESUME = "train --resume run --device cpu"
STEM = "backbone.stem.conv.weight"
MANY = 10**9


def without(name: str):
    return last(lambda content: content.pop(name))


def given(name: str, value: object):
    return last(lambda content: content.update({name: value}))


def fit(content: dict) -> dict:
    return content["loops"]["fit_loop"]


def optimizer(content: dict) -> dict:
    return content["optimizer_states"][0]


def fill(name: str, value: float):
    """One of the weights has another number."""
    return last(lambda content: content[name][f"network.{STEM}"][0, 0, 0, 0].fill_(value))


def row(**changes: object):
    return last(lambda content: content["history"]["rows"][0].update(changes))


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def bad(what: str, prepare: Prepare, *says: str) -> Case:
    return Case(f"resume: {what}", RESUME, (LAST, *says), prepare)


CASES = [
    *[
        bad(f"without {name}", without(name), name)
        for name in (
            *("epoch", "global_step", "pytorch-lightning_version", "state_dict", "current_model_state", "loops"),
            *("averaging_state", "callbacks", "optimizer_states", "lr_schedulers", "history", "random"),
        )
    ],
    bad("epoch -5", given("epoch", -5), "epoch", "-5"),
    bad("an epoch in words", given("epoch", "two"), "epoch"),
    bad("a step of 10^1000", given("global_step", 10**1000), "global_step"),
    bad("a version that is none", given("pytorch-lightning_version", "x" * 5000), "version"),
    bad("a version from 2018", given("pytorch-lightning_version", "0.5.0"), "version"),
    bad(
        "a history of other length",
        last(lambda c: c["history"]["rows"].extend(c["history"]["rows"] * 1000)),
        "history has 1001 epochs",
    ),
    bad("a history of text", given("history", "long"), "history"),
    bad("a row that is a list", last(lambda c: c["history"].update(rows=[[1, 2]])), "history"),
    bad("a row with text", row(AP="good"), "history"),
    bad("a row with a number of 1,000 digits", row(AP=10**1000), "history"),
    bad("a row without its epoch", last(lambda c: c["history"]["rows"][0].pop("epoch")), "epoch"),
    bad("sums of the epoch that are none", last(lambda c: c["history"].update(current=[0, [0.0], []])), "history"),
    bad("loops without fit_loop", last(lambda c: c["loops"].pop("fit_loop")), "fit_loop"),
    bad(
        "10^9 epochs done", last(lambda c: fit(c)["epoch_progress"]["current"].update(processed=MANY)), "epoch_progress"
    ),
    bad("progress that is a list", last(lambda c: fit(c).update({"epoch_loop.batch_progress": []})), "batch_progress"),
    bad("progress of other names", last(lambda c: fit(c)["epoch_progress"]["total"].update(reset=1)), "reset"),
    bad(
        "batches in words",
        last(lambda c: fit(c)["epoch_loop.batch_progress"]["current"].update(ready="all")),
        "batch_progress",
    ),
    bad(
        "a loader before its start",
        last(lambda c: fit(c)["state_dict"]["combined_loader"][0].update(start=-3)),
        "start",
    ),
    bad("a loader in no epoch", last(lambda c: fit(c)["state_dict"]["combined_loader"][0].pop("epoch")), "epoch"),
    bad("weights with NaN", fill("current_model_state", float("nan")), "current_model_state", STEM, "NaN"),
    bad("averages with NaN", fill("state_dict", float("nan")), "state_dict", STEM, "NaN"),
    bad("weights with infinity", fill("current_model_state", float("inf")), "infinity"),
    bad(
        "momentum with NaN",
        last(lambda c: optimizer(c)["state"][3]["momentum_buffer"].fill_(float("nan"))),
        "momentum_buffer",
        "NaN",
    ),
    bad(
        "weights of another network",
        last(lambda c: c["state_dict"].update({f"network.{STEM}": torch.zeros(32, 3, 7, 7)})),
        STEM,
        "has shape",
    ),
    bad("weights that are missing", last(lambda c: c["current_model_state"].pop(f"network.{STEM}")), "missing 1"),
    bad("weights of other names", last(lambda c: c["state_dict"].update(more=torch.zeros(1))), "another network"),
    bad("weights that are text", last(lambda c: c["state_dict"].update({f"network.{STEM}": "text"})), "tensors"),
    bad(
        "weights of half precision",
        last(lambda c: c["state_dict"].update({f"network.{STEM}": c["state_dict"][f"network.{STEM}"].half()})),
        STEM,
        "float16",
    ),
    bad(
        "a momentum of other shape",
        last(lambda c: optimizer(c)["state"][0].update(momentum_buffer=torch.zeros(5))),
        "optimizer_states 0",
    ),
    bad(
        "a momentum for a parameter that is not there",
        last(lambda c: optimizer(c)["state"].update({99999: {}})),
        "99999",
    ),
    bad("two optimisers", last(lambda c: c["optimizer_states"].append({})), "one optimiser"),
    bad(
        "of another optimiser",
        last(lambda c: [g.pop("momentum") for g in optimizer(c)["param_groups"]]),
        "another optimiser",
    ),
    bad("a group less", last(lambda c: optimizer(c)["param_groups"].pop()), "2 groups"),
    bad("parameters in other groups", last(lambda c: optimizer(c)["param_groups"][0]["params"].reverse()), "params"),
    bad("uphill", last(lambda c: optimizer(c)["param_groups"][0].update(maximize=True)), "maximize"),
    bad(
        "a decay in words", last(lambda c: optimizer(c)["param_groups"][0].update(weight_decay="some")), "weight_decay"
    ),
    bad(
        "a decay of NaN",
        last(lambda c: optimizer(c)["param_groups"][0].update(weight_decay=float("nan"))),
        "weight_decay",
    ),
    bad("random numbers of other length", given("random", {"cpu": torch.zeros(3, dtype=torch.uint8)}), "random cpu"),
    bad("random numbers that are no state", last(lambda c: c["random"]["cpu"].fill_(255)), "random cpu"),
    bad("random numbers in words", given("random", {"cpu": "some"}), "random cpu"),
    bad("averages of -1 steps", given("averaging_state", {"n_averaged": torch.tensor(-1)}), "n_averaged"),
    bad(
        "a best fitness of NaN",
        last(lambda c: c["callbacks"]["RunRecorder"].update(best_saved=float("nan"))),
        "best_saved",
    ),
    bad("a callback of another program", last(lambda c: c["callbacks"].update(Other={})), "callbacks has 'Other'"),
    bad("callbacks that are a list", given("callbacks", []), "callbacks"),
    bad("a scaler in words", given("MixedPrecision", {"scale": "much"}), "MixedPrecision"),
    bad("a scaler under its old name", given("native_amp_scaling_state", {}), "native_amp"),
    bad("last.ckpt is a list", run_with(whole(saved([1]), LAST)), "dictionary"),
    bad("last.ckpt runs a command", run_with(program(EVIL, LAST)), "nothing of it was run", "system"),
    bad("last.ckpt with a key nested 100 deep", run_with(program(key_of(nested(100)), LAST)), "key"),
    bad(
        "last.ckpt holds an object",
        run_with(program(b"\x80\x02cspikeyolo.cli.main\nmain\n)R.", LAST)),
        "nothing of it was run",
    ),
    bad("last.ckpt cut short", run_with(cut(LAST, 1000)), "cut short"),
    bad("last.ckpt is empty", run_with(whole(b"", LAST)), "cut short"),
    bad("last.ckpt is text", run_with(whole(b"hello", LAST)), "not a PyTorch checkpoint"),
    bad("last.ckpt is a pipe", run_with(special(LAST, "pipe")), "pipe or a device"),
    bad("last.ckpt is a folder", run_with(special(LAST, "folder")), "is a folder"),
]
