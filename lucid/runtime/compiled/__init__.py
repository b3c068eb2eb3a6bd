"""Compiled modules: live modules that run in onnxruntime."""
