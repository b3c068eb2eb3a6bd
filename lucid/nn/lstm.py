"""LSTM: long short-term memory layers.

Letters: T time, N batch, I input, H hidden, P projection, L layers, D directions.
"""

from __future__ import annotations

from typing import Any

from ..ops.cells import lstm_cell
from ..ops.creation import zeros
from ..ops.elementwise import where
from ..ops.linalg import linear
from ..ops.recurrent import padding_mask
from ..ops.shape import squeeze, unsqueeze
from ..tensor import Tensor
from ..tracer.mode import note
from .rnn import RNNBase, State
from .scan import scan

__all__ = ["LSTM"]


class LSTM(RNNBase):
    """An LSTM layer, or a stack of them (torch.nn.LSTM).

    i_t = σ(W_ii x_t + b_ii + W_hi h_(t-1) + b_hi)
    f_t = σ(W_if x_t + b_if + W_hf h_(t-1) + b_hf)
    g_t = tanh(W_ig x_t + b_ig + W_hg h_(t-1) + b_hg)
    o_t = σ(W_io x_t + b_io + W_ho h_(t-1) + b_ho)
    c_t = f_t c_(t-1) + i_t g_t
    h_t = o_t tanh(c_t)

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: L; each layer reads the output of the one before.
        bias: whether to add b_ih and b_hh.
        batch_first: whether input and output are (N, T, *) instead of (T, N, *). It does not apply to the states.
        dropout: the probability of zeroing an output of any layer but the last, in training.
        bidirectional: whether each layer also runs backward, from the end of each sequence, with weights of its own: D
            is 2 instead of 1. It cannot run as a stream.
        proj_size: P, to which each h_t is projected, h_t = W_hr o_t tanh(c_t), smaller than H; 0 for no projection.
            Such a layer is exported as a Scan, since ONNX's LSTM has no projection.
        device: "cpu".
        dtype: the dtype of the parameters; float32 if None.

    Shape:
        input: (T, N, I), or (N, T, I) if batch_first, or (T, I), or a PackedSequence.
        hx: the tuple (h_0, c_0), each (D L, N, H), first all directions of the first layer; zeros if omitted; for input
        (T, I) each is (D L, H).
        output: as the input, with D H features; then the tuple (h_n, c_n), each as in hx.
        With a projection, P stands in place of H in h_0, h_n and the output.
        weight_ih_l{k}: W_ii, W_if, W_ig, W_io stacked, (4H, I), from the second layer on (4H, D H);
        weight_hh_l{k}: likewise, (4H, H); bias_ih_l{k}, bias_hh_l{k}: (4H,); all drawn from U(-1/√H, 1/√H). Those of
        the backward direction end with _reverse. With a projection, weight_ih_l{k} is (4H, D P) from the second layer
        on, weight_hh_l{k} is (4H, P), and weight_hr_l{k} is (P, H).

    Raises:
        TypeError, ValueError: an argument has the wrong type or an invalid value.
        ShapeError, DtypeError: at the call, if input or hx does not fit.

    Source: S. Hochreiter and J. Schmidhuber (1997), "Long short-term memory", Neural Computation 9, with the forget
    gate of F. Gers, J. Schmidhuber and F. Cummins (2000), "Learning to forget", Neural Computation 12; ONNX operator
    LSTM.

    Example:
        >>> seq = lucid.randn(4, 6, 10)
        >>> lstm = nn.LSTM(input_size=10, hidden_size=12, batch_first=True)
        >>> output, (h_n, c_n) = lstm(seq)
        >>> output.shape
        (4, 6, 12)
        >>> (h_n.shape, c_n.shape)
        ((1, 4, 12), (1, 4, 12))
    """

    input_names = ("x", ("h0", "c0"))
    output_names = ("output", ("h_n", "c_n"))

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            *("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size),
            device=device,
            dtype=dtype,
        )

    def _direction(self, name: str, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        if not self.proj_size:
            return super()._direction(name, x, state, lengths)
        note(x, "time", "batch", None)
        own: Any = self._parameters
        weights = [own.get(f"{part}_{name}") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        projection = own[f"weight_hr_{name}"]

        def step(read: tuple[Tensor, ...], held: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            x, *absent = read
            h, c, _ = lstm_cell(x, *held, *weights)
            h = linear(h, projection)
            if not absent:
                return h, (h, c)
            return where(absent[0], 0.0, h), (where(absent[0], held[0], h), where(absent[0], held[1], c))

        read: tuple[Tensor, ...] = (x,)
        if lengths is not None:
            absent = unsqueeze(padding_mask(lengths, x.shape[0]), -1)
            # The padding may hold anything, and 0 * NaN is NaN.
            read = (where(absent, 0.0, x), absent)
        sizes = self.proj_size, self.hidden_size
        first = tuple(
            zeros(x.shape[1], size, dtype=x.dtype) if part is None else squeeze(part, 0)
            for part, size in zip(state, sizes, strict=True)
        )
        output, last = scan(step, read, first)
        return output, tuple(unsqueeze(part, 0) for part in last)
