/* Whether this CPU has the instructions that the kernels use; nothing is assumed of it before. */
#if defined(__x86_64__)
#include <cpuid.h>

static int has_bits(unsigned leaf, unsigned subleaf, int number, unsigned bits)
{
    unsigned registers[4];
    if (!__get_cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2],
                           &registers[3]))
        return 0;
    return (registers[number] & bits) == bits;
}

/* Whether the operating system keeps these parts of vector registers. */
static int keeps_bits(unsigned bits)
{
    unsigned low, high;
    if (bits == 0)
        return 1;
    if (!has_bits(1, 0, 2, 1u << 27)) /* OSXSAVE: XGETBV may be executed */
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & bits) == bits;
}
#else
unsigned long getauxval(unsigned long type);

static int has_bits(unsigned long type, unsigned long bits)
{
    return (getauxval(type) & bits) == bits;
}
#endif
