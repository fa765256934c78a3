"""Programs as ONNX files: each operator is said in ONNX, names stay, nothing is approximated."""
