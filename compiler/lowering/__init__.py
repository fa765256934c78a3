"""From ATen operators to TE tensors to PrimFuncs: one rule per operator."""

from .tvm_version import check_tvm_version

check_tvm_version()
