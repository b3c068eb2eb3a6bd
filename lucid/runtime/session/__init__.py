"""Sessions: run an ONNX model in onnxruntime, on whole sequences or as a stream."""
