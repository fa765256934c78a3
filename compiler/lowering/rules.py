"""Importing this module registers every lowering rule."""

from . import views as views
from . import linear as linear
from . import matmul as matmul
