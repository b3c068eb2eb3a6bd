"""Train sequence models in plain NumPy, ship them as ONNX, run everything in onnxruntime."""
