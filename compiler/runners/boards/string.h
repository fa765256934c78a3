/* The part of <string.h> that memory.c has, for compilers that come without a libc. */
#ifndef PENJING_BOARD_STRING_H
#define PENJING_BOARD_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

#endif
