"""Importing this module registers every normal form."""

from . import complex_fourier as complex_fourier
from . import creation as creation
from . import gathers as gathers
from . import layers as layers
from . import math as math
from . import views as views
