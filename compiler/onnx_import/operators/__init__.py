"""What each ONNX operator is in PyTorch; importing this package registers all of them."""

from . import elementwise as elementwise
