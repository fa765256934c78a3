"""The passes, one optimization per file; importing this package registers all of them."""

from ..compiler.pass_base import Pass as Pass
from ..compiler.pass_report import PassReport as PassReport
from .canonicalize import Canonicalize as Canonicalize
from .distill import Distill as Distill
from .expose_integers import ExposeIntegers as ExposeIntegers
from .fold_batch_norm import FoldBatchNorm as FoldBatchNorm
from .fold_constants import FoldConstants as FoldConstants
from .fold_dynamic_quantization import FoldDynamicQuantization as FoldDynamicQuantization
from .fold_quantization import FoldQuantization as FoldQuantization
from .fuse_attention import FuseAttention as FuseAttention
from .fuse_linear import FuseLinear as FuseLinear
from .fuse_regions import FuseRegions as FuseRegions
from .mix_precision import MixPrecision as MixPrecision
from .prune_channels import PruneChannels as PruneChannels
from .prune_weights import PruneWeights as PruneWeights
from .quantize import Quantize as Quantize
from .quantize_aware import QuantizeAware as QuantizeAware
from .quantize_dynamic import QuantizeDynamic as QuantizeDynamic
from .quantize_weights import QuantizeWeights as QuantizeWeights
from .reduce_precision import ReducePrecision as ReducePrecision
from .remove_duplicates import RemoveDuplicates as RemoveDuplicates
from .remove_layers import RemoveLayers as RemoveLayers
from .remove_no_ops import RemoveNoOps as RemoveNoOps
from .train_sparse import TrainSparse as TrainSparse
from .widen_slow_layers import WidenSlowLayers as WidenSlowLayers
