/*
 * What a program on a board without an operating system may call (startup.c, semihosting.c).
 *
 * Text and files go to the machine that emulates or debugs the board, by Arm semihosting.
 */
#ifndef PENJING_BOARD_H
#define PENJING_BOARD_H

#include <stddef.h>
#include <stdint.h>

/* What to count: an emulator plugin watches for calls of these. They do nothing. */
void board_mark_begin(void);
void board_mark_end(void);
void penjing_step(int call); /* called by models built for measuring, with -DPENJING_PROFILE */

void board_print(const char *text);
void board_print_number(uint32_t number);
void board_print_integer(int32_t number);
void board_print_hex(uint32_t number);

/* Files lie in the folder where the emulator was started. The functions end the program with an
 * explanation if a file cannot be opened or written. */
int board_open_to_read(const char *path);
int board_open_to_write(const char *path);
size_t board_read(int file, void *memory, size_t bytes); /* returns the bytes that were there */
void board_write(int file, const void *memory, size_t bytes);
void board_close(int file);

/* Ends the program; the emulator's exit code is `code`, 0 to 255. */
__attribute__((noreturn)) void board_exit(int code);

enum { BOARD_FILE_TROUBLE = 2, BOARD_FAULT = 4 }; /* exit codes of the functions above */

/* The lowest address of the stack. */
extern uint32_t board_stack_bottom[];

#endif
