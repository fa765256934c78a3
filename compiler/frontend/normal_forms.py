"""Importing this module registers every normal form."""

from . import complex_fourier as complex_fourier
from . import normalize_creation as normalize_creation
from . import normalize_gathers as normalize_gathers
from . import normalize_layers as normalize_layers
from . import normalize_math as normalize_math
from . import normalize_views as normalize_views
