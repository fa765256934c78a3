"""What each ONNX operator is in PyTorch; importing this package registers all of them."""

from . import activations as activations
from . import attention as attention
from . import casts as casts
from . import constants as constants
from . import convolution as convolution
from . import elementwise as elementwise
from . import gathering as gathering
from . import logic as logic
from . import losses as losses
from . import microsoft as microsoft
from . import microsoft_attention as microsoft_attention
from . import microsoft_quantized as microsoft_quantized
from . import normalization as normalization
from . import ordering as ordering
from . import padding as padding
from . import pooling as pooling
from . import products as products
from . import quantization as quantization
from . import recurrent as recurrent
from . import reductions as reductions
from . import resize as resize
from . import scattering as scattering
from . import shapes as shapes
from . import slices as slices
from . import softmax as softmax
from . import states as states
