"""Real tasks on real data, from training in NumPy to running in onnxruntime; the public API alone."""
