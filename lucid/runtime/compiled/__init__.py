"""Compiled modules: a live module, run in onnxruntime."""
