"""LSTM: long short-term memory layers.

Letters: T time, N batch, I input, H hidden, L layers, D directions.
"""

from __future__ import annotations

from typing import Any

from .rnn import RNNBase

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
        proj_size: must be 0: the output is not projected.
        device: "cpu".
        dtype: the dtype of the parameters; float32 if None.

    Shape:
        input: (T, N, I), or (N, T, I) if batch_first, or (T, I), or a PackedSequence.
        hx: the tuple (h_0, c_0), each (D L, N, H), first all directions of the first layer; zeros if omitted; for input
        (T, I) each is (D L, H).
        output: as the input, with D H features; then the tuple (h_n, c_n), each as in hx.
        weight_ih_l{k}: W_ii, W_if, W_ig, W_io stacked, (4H, I), from the second layer on (4H, D H);
        weight_hh_l{k}: likewise, (4H, H); bias_ih_l{k}, bias_hh_l{k}: (4H,); all drawn from U(-1/√H, 1/√H). Those of
        the backward direction end with _reverse.

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
        if proj_size != 0:
            raise ValueError(
                f"LSTM: proj_size must be 0, ONNX's LSTM has no projection; got {proj_size!r}; put an nn.Linear after "
                "the layer"
            )
        super().__init__(
            "LSTM",
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
