"""PyTorch's place for `DataLoader` and `default_collate` (torch.utils.data.dataloader)."""

from .collate import default_collate, default_convert
from .loader import DataLoader

__all__ = ["DataLoader", "default_collate", "default_convert"]
