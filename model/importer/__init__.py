"""Float graphs from PyTorch modules and ONNX files."""
