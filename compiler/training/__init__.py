"""Training of programs in place."""

from .callbacks import Callback as Callback
from .callbacks import ProgressBar as ProgressBar
from .callbacks import Regularizer as Regularizer
from .forward import Forward as Forward
from .options import TrainingOptions as TrainingOptions
from .parameters import keep_zeros as keep_zeros
from .parameters import masks_of as masks_of
from .parameters import zeros_stay as zeros_stay
from .samples import Samples as Samples
from .state import Training as Training
from .state import Validation as Validation
from .trainer import train as train
