/* The functions of libc that compilers call on their own. With them a program needs no libc. */
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__) /* else it would turn the loops into calls of themselves */
#define AS_WRITTEN __attribute__((optimize("no-tree-loop-distribute-patterns")))
#else
#define AS_WRITTEN
#endif

typedef uint32_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

AS_WRITTEN void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    if ((((uintptr_t)target | (uintptr_t)source) & 3) == 0) {
        for (; bytes >= 16; bytes -= 16, target += 16, source += 16) {
            word a = ((const word *)source)[0], b = ((const word *)source)[1];
            word c = ((const word *)source)[2], d = ((const word *)source)[3];
            ((word *)target)[0] = a;
            ((word *)target)[1] = b;
            ((word *)target)[2] = c;
            ((word *)target)[3] = d;
        }
        for (; bytes >= 4; bytes -= 4, target += 4, source += 4)
            *(word *)target = *(const word *)source;
    }
    for (; bytes != 0; bytes--)
        *target++ = *source++;
    return to;
}

AS_WRITTEN void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    if (target <= source)
        return memcpy(to, from, bytes); /* which copies upwards */
    while (bytes-- != 0)
        target[bytes] = source[bytes];
    return to;
}

AS_WRITTEN void *memset(void *to, int value, size_t bytes)
{
    uint8_t *target = to;
    const word all = (uint8_t)value * UINT32_C(0x01010101);
    for (; bytes != 0 && ((uintptr_t)target & 3) != 0; bytes--)
        *target++ = (uint8_t)value;
    for (; bytes >= 16; bytes -= 16, target += 16) {
        ((word *)target)[0] = all;
        ((word *)target)[1] = all;
        ((word *)target)[2] = all;
        ((word *)target)[3] = all;
    }
    for (; bytes != 0; bytes--)
        *target++ = (uint8_t)value;
    return to;
}

/* The same by the names of the Arm run-time ABI (IHI 0043, 5.3.4), which clang calls. */
void __aeabi_memcpy(void *to, const void *from, size_t bytes);
void __aeabi_memcpy4(void *to, const void *from, size_t bytes);
void __aeabi_memcpy8(void *to, const void *from, size_t bytes);
void __aeabi_memmove(void *to, const void *from, size_t bytes);
void __aeabi_memmove4(void *to, const void *from, size_t bytes);
void __aeabi_memmove8(void *to, const void *from, size_t bytes);
void __aeabi_memset(void *to, size_t bytes, int value);
void __aeabi_memset4(void *to, size_t bytes, int value);
void __aeabi_memset8(void *to, size_t bytes, int value);
void __aeabi_memclr(void *to, size_t bytes);
void __aeabi_memclr4(void *to, size_t bytes);
void __aeabi_memclr8(void *to, size_t bytes);

#define WEAK __attribute__((weak))
WEAK void __aeabi_memcpy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
WEAK void __aeabi_memcpy4(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
WEAK void __aeabi_memcpy8(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
WEAK void __aeabi_memmove(void *to, const void *from, size_t bytes) { memmove(to, from, bytes); }
WEAK void __aeabi_memmove4(void *to, const void *from, size_t bytes) { memmove(to, from, bytes); }
WEAK void __aeabi_memmove8(void *to, const void *from, size_t bytes) { memmove(to, from, bytes); }
WEAK void __aeabi_memset(void *to, size_t bytes, int value) { memset(to, value, bytes); }
WEAK void __aeabi_memset4(void *to, size_t bytes, int value) { memset(to, value, bytes); }
WEAK void __aeabi_memset8(void *to, size_t bytes, int value) { memset(to, value, bytes); }
WEAK void __aeabi_memclr(void *to, size_t bytes) { memset(to, 0, bytes); }
WEAK void __aeabi_memclr4(void *to, size_t bytes) { memset(to, 0, bytes); }
WEAK void __aeabi_memclr8(void *to, size_t bytes) { memset(to, 0, bytes); }
