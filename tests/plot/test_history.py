"""Curves of training: what stands on the axes, and files that are whole or absent."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import lucid
from lucid.errors import LucidError


def test_losses_make_one_curve():
    figure = lucid.plot.history([3.0, lucid.tensor(2.0), np.float32(1.0)])
    (axes,) = figure.axes
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 3], [2, 2], [3, 1]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    assert axes.get_legend() is None


def test_curves_share_a_panel_and_panels_an_axis():
    figure = lucid.plot.history({"train": [2, 1], "test": lucid.tensor([3.0, 2.0, 2.5])}, xlabel="step", log=True)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "test"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("step", "train, test", "log")
    figure = lucid.plot.history({"loss": {"train": [2, 1], "test": [3, 2]}, "accuracy": [0.5, 0.75]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "epoch"]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_ydata(), [0.5, 0.75])


def test_ticks_are_whole_epochs_and_plain_numbers():
    (axes,) = lucid.plot.history([3.0]).axes
    assert all(tick == round(tick) for tick in axes.get_xticks())
    (axes,) = lucid.plot.history([3.0, 0.3], log=True).axes
    labels = {text.get_text() for text in axes.get_yticklabels()}
    assert {"0.5", "1", "2"} <= labels
    assert not [text for text in axes.get_yticklabels(minor=True) if text.get_text()]


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "history.png"
    lucid.plot.history([2, 1], path=path)
    before = path.read_bytes()
    assert before.startswith(b"\x89PNG")
    lucid.plot.history([2, 1], path=tmp_path / "history.svg")
    assert b"<svg" in (tmp_path / "history.svg").read_bytes()
    with pytest.raises(ValueError, match="not supported"):
        lucid.plot.history([2, 1], path=tmp_path / "history.nothing")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["history.png", "history.svg"]


@pytest.mark.parametrize("values", [[], {}, {"loss": {}}, [[1, 2]], ["a"], {"loss": [None]}])
def test_what_cannot_be_drawn_is_refused(values):
    with pytest.raises(ValueError, match="history: "):
        lucid.plot.history(values)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(LucidError, match=r"pip install 'lucid-onnx\[plot\]'"):
        lucid.plot.history([1.0])
