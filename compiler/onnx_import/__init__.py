"""ONNX files and models as programs: read, cleaned, every node said in PyTorch, then traced."""
