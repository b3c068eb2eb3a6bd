"""Sessions: one ONNX file, run in onnxruntime, whole or as a stream."""
