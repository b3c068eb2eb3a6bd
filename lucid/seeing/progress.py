"""Progress: a bar for a loop over batches or epochs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ..data.loader import DataLoader

__all__ = ["Progress", "progress"]

T = TypeVar("T")


class Progress(Generic[T]):
    """An iterable with a bar: see `progress`."""

    def __init__(self, items: Iterable[T], description: str, unit: str, shown: bool | None) -> None:
        self._items = items
        self._description = description
        self._unit = unit
        self._shown = shown
        self._bar: Any = None

    def __iter__(self) -> Iterator[T]:
        # A loop that breaks or raises drops this generator, which closes the bar.
        with self._opened() as self._bar:
            try:
                yield from self._bar
            finally:
                self._bar = None

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]

    def show(self, **values: Any) -> None:
        """Shows values beside the bar, in place of those before; after the loop it does nothing.

        Args:
            values: numbers, or tensors and arrays of one element, by name; anything else is shown as text.
        """
        if self._bar is not None and not self._bar.disable:
            text = ", ".join(f"{name} {_text(value)}" for name, value in values.items())
            self._bar.set_postfix_str(text, refresh=False)

    def _opened(self) -> Any:
        from tqdm import auto

        items, done, total = iter(self._items), 0, None
        if isinstance(self._items, Sized):
            with suppress(TypeError):  # that of an IterableDataset raises it
                total = len(self._items)
        if isinstance(self._items, DataLoader):
            done = self._items._done  # a loader that resumes a pass yields the batches that are left
        shown = _in_notebook() or sys.stderr.isatty() if self._shown is None else self._shown
        return auto.tqdm(items, self._description, total, initial=done, unit=self._unit, disable=not shown)


def progress(
    items: Iterable[T], description: str = "", *, unit: str = "batch", shown: bool | None = None
) -> Progress[T]:
    """Returns an iterable over the same items that shows a bar, with the time left, while a loop runs (tqdm).

    In a terminal the bar is text, in a notebook a widget. It is closed when the loop ends, breaks or raises an error.

    Args:
        items: a `DataLoader`, a range of epochs, or any other iterable; without a length, the bar has no end.
        description: what stands before the bar.
        unit: what an item is called.
        shown: whether to show it; if None, in a notebook, or where stderr is a terminal.

    Example:
        >>> loader = lucid.data.DataLoader(lucid.data.TensorDataset(lucid.arange(4.0)), batch_size=2)
        >>> for (x,) in (bar := lucid.progress(loader, "epoch 1")):
        ...     loss = x.square().mean()
        ...     bar.show(loss=loss)
        >>> loss
        tensor(6.5)
    """
    return Progress(items, description, unit, shown)


def _in_notebook() -> bool:
    """Returns whether a notebook shows what is written to stderr, which is no terminal there."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and "IPKernelApp" in shell.config


def _text(value: Any) -> str:
    value = value.item() if hasattr(value, "item") else value
    return f"{value:.4g}" if isinstance(value, float) else str(value)
