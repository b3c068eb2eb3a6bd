"""reference: the pages of the API reference, one for each public module and each public class, written to docs/api."""

from __future__ import annotations

import importlib
import types
from pathlib import Path
from typing import Any

__all__ = ["MODULES", "setup", "write"]

MODULES = (
    "lucid",
    "lucid.autograd",
    "lucid.nn",
    "lucid.nn.functional",
    "lucid.nn.init",
    "lucid.nn.utils",
    "lucid.nn.utils.parametrizations",
    "lucid.nn.utils.rnn",
    "lucid.optim",
    "lucid.optim.lr_scheduler",
    "lucid.data",
    "lucid.distributions",
    "lucid.io",
    "lucid.checkpoint",
    "lucid.export",
    "lucid.runtime",
    "lucid.importing",
    "lucid.distributed",
    "lucid.seeing",
    "lucid.plot",
    "lucid.errors",
)
"""In the order of the table of contents."""
WHOLE = ("lucid.Tensor", "lucid.data.DataLoader", "lucid.nn.Module")
"""Classes that are listed with what they inherit."""


def write(folder: Path) -> None:
    """Writes all pages, and leaves alone those that have not changed, so that Sphinx does not read them again."""
    pages = {"index": index()}
    known: set[type] = set()
    for name in MODULES:
        module = importlib.import_module(name)
        public = {own: getattr(module, own) for own in sorted(module.__all__, key=str.lower)}
        classes = [own for own, thing in public.items() if is_class(thing)]
        functions = [own for own, thing in public.items() if is_function(thing)]
        pages[name] = module_page(name, classes, functions)
        for own in classes:
            pages[f"{name}.{own}"] = class_page(name, own, public[own], again=public[own] in known)
            known.add(public[own])
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def is_class(thing: Any) -> bool:
    """Whether a page of its own describes it: a class of lucid's, not one of NumPy's or a synonym."""
    return isinstance(thing, type) and thing.__module__.startswith("lucid")


def is_function(thing: Any) -> bool:
    """Whether it is a function or an op."""
    return callable(thing) and not isinstance(thing, (type, types.ModuleType)) and bool(getattr(thing, "__doc__", ""))


def title(text: str, line: str = "=") -> list[str]:
    """Returns a heading."""
    return [text, line * len(text), ""]


def index() -> str:
    """Returns the page that lists the modules."""
    return "\n".join(
        [
            *title("API reference"),
            "Everything that is public, by module, from the docstrings. Examples begin with ``import numpy as np``,",
            "``import lucid`` and ``from lucid import nn``.",
            "",
            ".. autosummary::",
            "   :nosignatures:",
            "",
            *(f"   {name}" for name in MODULES),
            "",
            ".. toctree::",
            "   :hidden:",
            "",
            *(f"   {name}" for name in MODULES),
            "",
        ]
    )


def module_page(name: str, classes: list[str], functions: list[str]) -> str:
    """Returns the page of a module: its docstring, a table of its classes, and its functions."""
    lines = [*title(name), f".. automodule:: {name}", "", f".. currentmodule:: {name}", ""]
    for heading, names in (("Classes", classes), ("Functions", functions)):
        if names:
            lines += [*title(heading, "-"), ".. autosummary::", "   :nosignatures:", ""]
            lines += [*(f"   {own}" for own in names), ""]
    for own in functions:
        lines += [f".. autofunction:: {own}", ""]
    return "\n".join(lines)


def class_page(module: str, name: str, thing: type, again: bool) -> str:
    """Returns the page of a class; if it is public elsewhere, too, it is indexed there alone.

    The page is an orphan: two hundred of them in the table of contents, which each page repeats, take minutes.
    """
    lines = [":orphan:", "", *title(f"{module}.{name}"), f"In :py:mod:`{module}`.", ""]
    lines += [f".. currentmodule:: {module}", ""]
    options = ["   :members:"]
    if f"{module}.{name}" in WHOLE:
        methods = [own for own in dir(thing) if not own.startswith("_") and callable(getattr(thing, own))]
        lines += [".. autosummary::", "   :nosignatures:", ""]
        lines += [*(f"   ~{name}.{own}" for own in methods if getattr(thing, own).__doc__), ""]
        options.append("   :inherited-members:")
    else:
        options.append("   :show-inheritance:")
    if fields := getattr(thing, "_fields", ()):
        options.append(f"   :exclude-members: {', '.join(fields)}")  # the docstring of the class has them
    if again:
        options.append("   :no-index:")
    return "\n".join([*lines, f".. autoclass:: {name}", *options, ""])


def setup(app: Any) -> dict[str, Any]:
    """Writes the pages before Sphinx looks for sources."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "api"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
