"""GRU: gated recurrent unit layers.

Letters: T time, N batch, I input, H hidden, L layers, D directions.
"""

from __future__ import annotations

from typing import Any

from .rnn import RNNBase

__all__ = ["GRU"]


class GRU(RNNBase):
    """A GRU layer, or a stack of them (torch.nn.GRU).

    r_t = σ(W_ir x_t + b_ir + W_hr h_(t-1) + b_hr)
    z_t = σ(W_iz x_t + b_iz + W_hz h_(t-1) + b_hz)
    n_t = tanh(W_in x_t + b_in + r_t (W_hn h_(t-1) + b_hn))
    h_t = (1 - z_t) n_t + z_t h_(t-1)

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: L; each layer reads the output of the one before.
        bias: whether to add b_ih and b_hh.
        batch_first: whether input and output are (N, T, *) instead of (T, N, *). It does not apply to the state.
        dropout: the probability of zeroing an output of any layer but the last, in training.
        bidirectional: whether each layer also runs backward, from the end of each sequence, with weights of its own: D
            is 2 instead of 1. It cannot run as a stream.
        device: "cpu".
        dtype: the dtype of the parameters; float32 if None.

    Shape:
        input: (T, N, I), or (N, T, I) if batch_first, or (T, I), or a PackedSequence.
        hx: (D L, N, H), first all directions of the first layer; zeros if omitted; for input (T, I) it is (D L, H).
        output: as the input, with D H features; h_n: as hx, (D L, N, H).
        weight_ih_l{k}: W_ir, W_iz, W_in stacked, (3H, I), from the second layer on (3H, D H); weight_hh_l{k}:
        likewise, (3H, H); bias_ih_l{k}, bias_hh_l{k}: (3H,); all drawn from U(-1/√H, 1/√H). Those of the backward
        direction end with _reverse.

    Raises:
        TypeError, ValueError: an argument has the wrong type or an invalid value.
        ShapeError, DtypeError: at the call, if input or hx does not fit.

    Source: K. Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder", EMNLP; with r_t applied
    to the product as in torch.nn.GRU and in ONNX's operator GRU with linear_before_reset=1.

    Example:
        >>> seq = lucid.randn(4, 6, 10)
        >>> gru = nn.GRU(input_size=10, hidden_size=12, num_layers=2, batch_first=True)
        >>> output, h_n = gru(seq)
        >>> (output.shape, h_n.shape)
        ((4, 6, 12), (2, 4, 12))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
