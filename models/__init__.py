"""Real tasks on real data, from training in NumPy to inference in onnxruntime, with the public API only."""
