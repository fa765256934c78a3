"""Kernels in OpenCL C: the regions of a CPU, scheduled for many work-items."""
