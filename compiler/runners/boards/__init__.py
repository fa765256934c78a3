"""Runs C programs on Cortex-M boards that QEMU emulates: no operating system, no libc."""
