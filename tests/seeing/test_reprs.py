"""Reprs, as text and in notebooks: short, escaped, and without any effect."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.data import ConcatDataset, DataLoader, IterableDataset, Subset, TensorDataset
from lucid.optim import lr_scheduler
from lucid.tables import html_table, size_of, text_table

EVIL = "<script>&\"'"
ESCAPED = "&lt;script&gt;&amp;"


def dataset():
    return TensorDataset(lucid.zeros(3, 5), lucid.arange(3))


def optimizer():
    return lucid.optim.SGD([nn.Parameter(lucid.ones(2))], lr=0.1, momentum=0.5)


@pytest.fixture(scope="module")
def exported():
    return lucid.export.to_onnx(nn.GRU(3, 4), lucid.randn(5, 2, 3), lucid.zeros(1, 2, 4))


TEXTS = {
    "TensorDataset(samples=3, each=(float32[5], int64[]))": dataset,
    "Subset(samples=2, dataset=TensorDataset)": lambda: Subset(dataset(), [0, 2]),
    "ConcatDataset(samples=6, datasets=['TensorDataset', 'TensorDataset'])": lambda: dataset() + dataset(),
    "DataLoader(dataset=TensorDataset, batch_size=2, sampler=RandomSampler, drop_last=False, num_workers=0, epoch=0, "
    "batches_done=0)": lambda: DataLoader(dataset(), batch_size=2, shuffle=True),
    "DataLoader(dataset=IterableDataset, batch_size=1, sampler=None, drop_last=False, num_workers=0, epoch=0, "
    "batches_done=0)": lambda: DataLoader(IterableDataset()),
    "StepLR(step_size=3, gamma=0.1, base_lrs=[0.1], last_epoch=0, lr=[0.1])": lambda: lr_scheduler.StepLR(
        optimizer(), 3
    ),
    "SequentialLR(schedulers=StepLR, ExponentialLR, milestones=[2], base_lrs=[0.1], last_epoch=0, lr=[0.1])": lambda: (
        sequential(optimizer())
    ),
}


def sequential(optimizer):
    parts = [lr_scheduler.StepLR(optimizer, 3), lr_scheduler.ExponentialLR(optimizer, 0.5)]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[2])


@pytest.mark.parametrize("text", TEXTS)
def test_text(text):
    assert repr(TEXTS[text]()) == text


def test_a_loader_shows_its_position_and_keeps_it():
    loader = DataLoader(dataset(), batch_size=2, shuffle=True)
    next(iter(loader))
    before, random = loader.state_dict(), lucid.get_rng_state()
    assert "batches_done=1)" in repr(loader)
    assert "batches_done" in loader._repr_html_()
    assert loader.state_dict() == before
    assert lucid.get_rng_state() == random
    # Not even the length of the dataset is asked for.
    fresh = DataLoader(dataset(), shuffle=True)
    repr(fresh)
    assert lucid.get_rng_state() == random


def shown(exported):
    session = lucid.runtime.Session(exported)
    return {
        "tensor": (lucid.tensor([[1.0, 2.0]]), ["tensor([[1., 2.]])", "shape (1, 2), float32"]),
        "parameter": (nn.Parameter(lucid.ones(2)), ["Parameter containing", "shape (2,), float32"]),
        "module": (nn.Sequential(nn.Linear(3, 4), nn.Tanh()), ["in_features=3", "Tanh", "parameters: 16"]),
        "dataset": (dataset(), ["samples", "(float32[5], int64[])"]),
        "loader": (DataLoader(dataset()), ["batch_size", "SequentialSampler"]),
        "optimizer": (optimizer(), ["SGD", "momentum", "0.5"]),
        "scheduler": (lr_scheduler.StepLR(optimizer(), 3), ["StepLR", "step_size", "[0.1]"]),
        "exported": (exported, ["axis 0 of x", "free: time", "fixed: ", "GRU", "greatest difference"]),
        "session": (session, ["Session on cpu", "x: float32(time, batch, 3)", "piece by piece along time"]),
        "stream": (session.stream(batch=2), ["cut along", "continued by h_n", "2"]),
        "summary": (lucid.summary(nn.Linear(2, 3), lucid.ones(1, 2)), ["Summary of Linear", "(1, 3)"]),
    }


NAMES = (
    *("tensor", "parameter", "module", "dataset", "loader", "optimizer", "scheduler", "exported", "session", "stream"),
    "summary",
)


@pytest.mark.parametrize("name", NAMES)
def test_html(exported, name):
    everything = shown(exported)
    assert tuple(everything) == NAMES
    thing, texts = everything[name]
    before = dict(getattr(thing, "__dict__", {}))
    html = thing._repr_html_()
    for text in texts:
        assert text in html
    assert html.count("<div>") == html.count("</div>")
    assert re.findall(r"<(\w+)", html).count("td") == html.count("</td>")
    after = getattr(thing, "__dict__", {})
    assert after.keys() == before.keys()
    assert all(after[key] is value for key, value in before.items())


def test_an_export_shows_what_python_read(tmp_path):
    def function(x):
        if x.sum().item() > 1e30:
            print("large")
        return x * 2

    html = lucid.export.to_onnx(function, lucid.ones(3))._repr_html_()
    assert "read in Python, without effect" in html
    assert "test_reprs.py" in html
    assert "none was made" in lucid.export.to_onnx(nn.Tanh(), lucid.ones(3), verify=False)._repr_html_()


def test_everything_is_escaped(exported):
    class Evil(nn.Module):
        def extra_repr(self):
            return EVIL

    named = type(EVIL, (TensorDataset,), {})
    things = [
        Evil(),
        named(lucid.ones(2)),
        DataLoader(named(lucid.ones(2))),
        Subset([EVIL], [0]),
        _EvilSGD([lucid.ones(1)]),
    ]
    for thing in things[:3]:
        assert "<script>" not in thing._repr_html_()
        assert ESCAPED in thing._repr_html_()
    assert "<script>" not in things[4]._repr_html_()
    for html in (html_table(EVIL, [EVIL], [[EVIL, 3]], [EVIL]), html_table("", (), [(EVIL, EVIL)])):
        assert "<script>" not in html
        assert html.count(ESCAPED) == (4 if "3</td>" in html else 2)


class _EvilSGD(lucid.optim.SGD):
    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.param_groups[0]["momentum"] = EVIL


def test_a_repr_of_a_module_changes_nothing():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    model(lucid.randn(4, 3))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    last, random = model._last_call, lucid.get_rng_state()
    model._repr_html_()
    assert model._last_call is last
    assert lucid.get_rng_state() == random
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_text_tables():
    assert text_table([["a", "bcd"], ["ef", "g"]]) == "a   bcd\nef  g"
    assert text_table([["a", "bcd"], ["ef", "g"]], left=1) == "a   bcd\nef    g"
    assert size_of(12) == "12 bytes"
    assert size_of(3 * 2**30) == "3.0 GiB"


def test_concatenated_datasets_keep_their_text_short():
    assert len(repr(ConcatDataset([dataset()] * 3))) < 100
