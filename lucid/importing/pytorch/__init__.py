"""Modules of PyTorch's, without an import of torch."""
