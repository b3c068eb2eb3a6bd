"""The table of ops: rows for each op, and for each function composed of ops, in groups."""

from __future__ import annotations

import lucid.distributed.compiled  # noqa: F401 - it declares ops
from tests.ops.case import Case

from . import composed, ctc, elementwise, index, linalg, loss, more, nn, pool, reduce, scalars, shape

CASES: list[Case] = [
    case
    for module in (
        elementwise,
        reduce,
        shape,
        index,
        linalg,
        more,
        composed,
        nn,
        pool,
        loss,
        ctc,
        scalars,
    )
    for case in module.NAMES
]

FIXED = {
    *("all-empty", "broadcast_to", "cat-empty", "chunk", "expand", "expand_as", "expand_to", "glu", "glu-dim"),
    *("index_at-two", "layer_norm", "layer_norm-no_bias", "layer_norm-two_axes", "matmul-(2, 1, 2, 3)(5, 3, 4)"),
    *("matmul-empty", "normalized_slope", "prod-empty", "reshape-empty", "scatter", "scatter-add"),
    *("recurrent_weight_gradient-5_steps_from_a_state", "recurrent_weight_gradient-1_steps_from_a_state"),
    *(
        "scatter-larger",
        "scatter-multiply",
        "scatter-number",
        "scatter_product",
        "take_along_dim-broadcast",
        "split",
        "split-sizes",
        "split_to",
    ),
    *("squeeze", "squeeze-two", "sub", "sum-empty", "sum_to-(1, 4)", "sum_to-(2, 1, 4)", "sum_to-(2, 3, 4)"),
    *("sum_to-(3, 4)", "unbind"),
    *(
        "rms_norm",
        "rms_norm-two_axes",
        "prelu",
        "prelu-infinite",
        "cosine_similarity-broadcast",
        "quantile_loss-several",
        "searchsorted-sorter",
    ),
}
"""The rows in which an axis has to have the size it has. In all others every axis of every input is free."""

ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("rnn", "rnn_backward"), "tests/nn/test_rnn.py"),
    **dict.fromkeys(("lstm", "lstm_backward", "lstm_tangent"), "tests/nn/test_lstm_gru.py"),
    **dict.fromkeys(("gru", "gru_backward", "gru_tangent"), "tests/nn/test_lstm_gru.py"),
    **dict.fromkeys(("allclose", "equal"), "tests/ops/test_functions.py"),
    **dict.fromkeys(("type", "new", "new_tensor", "new_empty"), "tests/tensor/test_idioms.py"),
    **dict.fromkeys(("rnn_cell", "lstm_cell", "gru_cell"), "tests/nn/test_cells.py"),
    "scan": "tests/ops/test_scan.py",
    "passed": "tests/nn/test_hooks.py",
    **dict.fromkeys(("sum_over_ranks", "loss_of_all", "exchanged"), "tests/distributed/test_group.py"),
    **dict.fromkeys(("exponential_like", "gumbel_softmax"), "tests/ops/test_random.py"),
    **dict.fromkeys(
        ("uniform", "gaussian", "integers", "permutation", "bernoulli", "bernoulli_like", "multinomial"),
        "tests/ops/test_random.py",
    ),
    **dict.fromkeys(
        ("pcg_uniform", "pcg_gaussian", "pcg_bernoulli", "pcg_bernoulli_like", "pcg_exponential_like"),
        "tests/ops/test_random.py",
    ),
}
"""What is tested with other means, and where."""
