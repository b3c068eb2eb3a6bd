"""Every public method and property of Tensor has a docstring, and its example shows what it does."""

from __future__ import annotations

import doctest
import inspect

import numpy as np
import pytest

import lucid
from lucid.methods import docstrings
from lucid.methods.table import F

NAMES = [name for name in dir(lucid.Tensor) if not name.startswith("_")]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("name", NAMES)
def test_a_method_has_a_docstring_whose_example_runs(name):
    text = inspect.getdoc(getattr(lucid.Tensor, name))
    assert text, f"Tensor.{name} has no docstring; write one, or an example in lucid/methods/docstrings.py"
    first = text.split("\n\n")[0].split(">>>")[0].strip()
    assert first[0].isupper()
    assert first.endswith((".", ":", ")."))
    globs = {"lucid": lucid, "nn": lucid.nn, "np": np}
    test = doctest.DocTestParser().get_doctest(text, globs, f"Tensor.{name}", None, None)
    assert test.examples, f"the docstring of Tensor.{name} has no example"
    assert f"``x.{name}(...)``" in text or any(f".{name}" in example.source for example in test.examples)
    runner = doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
    report: list[str] = []
    runner.run(test, out=report.append)
    assert not report, "".join(report)


def test_a_method_has_the_docstring_of_the_function_that_it_calls():
    method, function = inspect.getdoc(lucid.Tensor.sum), inspect.getdoc(lucid.sum)
    assert method == f"{function}\n\nThe method ``x.sum(...)`` is ``lucid.sum(x, ...)``."
    assert inspect.getdoc(lucid.Tensor.view_as) == inspect.getdoc(F["view_as"])  # its example is one of the method


def test_examples_are_of_methods_without_a_docstring_in_their_file():
    for name, (before, arguments, after) in docstrings._EXAMPLES.items():
        assert f"lucid.tensor([{before}]).{name}({arguments})" in getattr(lucid.Tensor, name).__doc__
        assert after.split("\n")[0] in getattr(lucid.Tensor, name).__doc__
        assert name[:-1] in lucid.__all__, f"the docstring of {name} refers to lucid.{name[:-1]}"
