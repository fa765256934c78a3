"""Importing this module registers every lowering rule."""

from . import adaptive_pooling as adaptive_pooling
from . import attention as attention
from . import conv_transpose as conv_transpose
from . import convolution as convolution
from . import creation as creation
from . import distance as distance
from . import extrema as extrema
from . import gathering as gathering
from . import im2col as im2col
from . import joining as joining
from . import linear as linear
from . import matmul as matmul
from . import normalization as normalization
from . import padding as padding
from . import pairwise as pairwise
from . import patching as patching
from . import pooling as pooling
from . import recurrent as recurrent
from . import reductions as reductions
from . import reordering as reordering
from . import resize as resize
from . import scattering as scattering
from . import searching as searching
from . import slicing as slicing
from . import variances as variances
from . import views as views
