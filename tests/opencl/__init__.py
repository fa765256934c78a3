"""Libraries for GPUs, on whatever OpenCL devices this machine has."""
