/*
 * What compilers for 32-bit ARM expect from their runtime, without what that would pull in.
 *
 * libgcc's division routines call these two on a zero divisor; libgcc's own versions need raise()
 * from libc, these return the quotient as it is.
 */
HIDDEN __attribute__((weak)) long long __aeabi_ldiv0(long long quotient)
{
    return quotient;
}

HIDDEN __attribute__((weak)) int __aeabi_idiv0(int quotient)
{
    return quotient;
}

/* Named by the unwind tables of the kernels, which never throw. */
HIDDEN __attribute__((weak)) void __aeabi_unwind_cpp_pr0(void)
{
}
