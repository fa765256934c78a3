"""What each operator of PyTorch, and of penjing, is in ONNX."""

import torch.ao.quantization.fx._decomposed  # noqa: F401  # registers quantized_decomposed

from ...quantization import dynamic as dynamic  # registers penjing
from ...quantization import packed_weights as packed_weights
from . import activations as activations
from . import arithmetic as arithmetic
from . import comparison as comparison
from . import convolution as convolution
from . import indexing as indexing
from . import integers as integers
from . import joining as joining
from . import normalization as normalization
from . import pooling as pooling
from . import products as products
from . import quantization as quantization
from . import recurrent as recurrent
from . import reductions as reductions
from . import resize as resize
from . import scattering as scattering
from . import views as views
