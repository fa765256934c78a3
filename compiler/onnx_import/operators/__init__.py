"""What each ONNX operator is in PyTorch; importing this package registers all of them."""

from . import attention as attention
from . import convolution as convolution
from . import elementwise as elementwise
from . import losses as losses
from . import normalization as normalization
from . import pooling as pooling
from . import products as products
from . import quantization as quantization
from . import recurrent as recurrent
from . import softmax as softmax
from . import states as states
