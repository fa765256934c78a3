/* The small model once more, with other weights. */
#define MODEL other
#define FACTOR 2
#include "small_program.c"
