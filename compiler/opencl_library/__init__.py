"""Libraries for mobile GPUs: OpenCL C, its tables, the CPU's kernels and a run time in C."""
