"""Progress bars: what they show, when they are quiet, and that they end with the loop."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid.data import DataLoader, IterableDataset, TensorDataset


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """Makes stderr a terminal: in the test itself, since pytest replaces stderr after its fixtures."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def loader(n=6):
    return DataLoader(TensorDataset(lucid.arange(float(n))), batch_size=2)


def test_a_loop_over_a_loader(monkeypatch):
    stderr = terminal(monkeypatch)
    seen = []
    for (x,) in (bar := lucid.progress(loader(), "epoch 1")):
        seen.append(x.sum().item())
        bar.show(loss=x.mean(), accuracy=np.float32(0.25), n=3, note="warm")
    assert seen == [1.0, 5.0, 9.0]
    assert len(bar) == 3
    text = stderr.getvalue()
    assert "epoch 1: 100%" in text
    assert "3/3" in text
    assert text.endswith("\n")
    assert "loss 4.5, accuracy 0.25, n 3, note warm" in text.split("\r")[-1]


def test_it_is_quiet_where_nobody_looks(monkeypatch):
    class Unread:
        def item(self):
            raise AssertionError("a value was read that is not shown")

    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    for _ in (bar := lucid.progress(loader())):
        bar.show(loss=Unread())
    assert stream.getvalue() == ""
    assert list(lucid.progress(range(3), shown=True, unit="epoch")) == [0, 1, 2]
    assert "3/3" in stream.getvalue()


@pytest.mark.parametrize(("config", "shown"), [({"IPKernelApp": {}}, True), ({}, False), (None, False)])
def test_it_is_shown_in_a_notebook(monkeypatch, config, shown):
    shell = None if config is None else SimpleNamespace(config=config)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(list(lucid.progress(loader()))) == 3
    assert ("3/3" in stream.getvalue()) == shown


def test_asked_to_be_quiet_in_a_terminal(monkeypatch):
    stderr = terminal(monkeypatch)
    assert len(list(lucid.progress(loader(), shown=False))) == 3
    assert stderr.getvalue() == ""


@pytest.mark.parametrize("end", ["break", "raise"])
def test_the_bar_ends_with_the_loop(monkeypatch, end):
    stderr = terminal(monkeypatch)

    def run():
        for _ in (bar := lucid.progress(loader(), "epoch 2")):
            bar.show(loss=0.5)
            if end == "raise":
                raise RuntimeError("stopped")
            break
        return bar

    if end == "raise":
        with pytest.raises(RuntimeError, match="stopped"):
            run()
    else:
        bar = run()
        closed = stderr.getvalue()
        assert closed.endswith("\n")
        bar.show(loss=1.0)
        assert stderr.getvalue() == closed
        assert len(list(bar)) == 3  # and again from the start
    assert stderr.getvalue().endswith("\n")


def test_a_resumed_pass_begins_where_it_stopped(monkeypatch):
    stderr = terminal(monkeypatch)
    first = loader()
    next(iter(first))
    second = loader()
    second.load_state_dict(first.state_dict())
    assert len(list(lucid.progress(second))) == 2
    assert "33%" in stderr.getvalue()
    assert "3/3" in stderr.getvalue()


def test_without_a_length(monkeypatch):
    stderr = terminal(monkeypatch)

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(5))

    bar = lucid.progress(DataLoader(Stream(), batch_size=None))
    assert [int(x) for x in bar] == [0, 1, 2, 3, 4]
    assert "5batch" in stderr.getvalue()
    assert list(lucid.progress(iter("ab"))) == ["a", "b"]
    with pytest.raises(TypeError, match="has no len"):
        len(bar)
