"""Training steps: forward, loss, backward, clipping and update as one ONNX file."""

from .state import Entry, State
from .step import TrainingStep
from .training_step import training_step

__all__ = ["Entry", "State", "TrainingStep", "training_step"]
