"""A page that trains models in onnxruntime-web: ``python -m examples.web`` builds it and serves it."""
