/* The part of <math.h> that generated code uses, for compilers that come without a libc. */
#ifndef PENJING_BOARD_MATH_H
#define PENJING_BOARD_MATH_H

#define INFINITY (__builtin_inff())
#define NAN (__builtin_nanf(""))

#endif
