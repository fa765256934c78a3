"""From kernels and a memory plan to a C library: entry, header, weights, link, verification."""
