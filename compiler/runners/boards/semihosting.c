/* Text, files and the end of the program, by Arm semihosting (IHI 0083, "Semihosting for AArch32
 * and AArch64"): a breakpoint that the emulator or debugger answers. */
#include "board.h"

enum { SYS_OPEN = 0x01, SYS_CLOSE, SYS_WRITE0 = 0x04, SYS_WRITE, SYS_READ, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };

static int32_t ask(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

void board_print(const char *text)
{
    ask(SYS_WRITE0, text);
}

void board_print_number(uint32_t number)
{
    char digits[11];
    char *first = digits + sizeof digits - 1;
    *first = 0;
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    board_print(first);
}

void board_print_integer(int32_t number)
{
    if (number < 0)
        board_print("-");
    board_print_number(number < 0 ? 0u - (uint32_t)number : (uint32_t)number);
}

void board_print_hex(uint32_t number)
{
    char digits[9];
    for (int i = 7; i >= 0; i--, number >>= 4)
        digits[i] = "0123456789abcdef"[number & 15];
    digits[8] = 0;
    board_print(digits);
}

static void fail(const char *what, const char *where)
{
    board_print(what);
    board_print(where);
    board_print("\n");
    board_exit(BOARD_FILE_TROUBLE);
}

static int open_file(const char *path, uint32_t mode)
{
    uint32_t length = 0;
    while (path[length] != 0)
        length++;
    const uint32_t block[] = {(uint32_t)path, mode, length};
    int file = ask(SYS_OPEN, block);
    if (file < 0)
        fail("cannot open ", path);
    return file;
}

int board_open_to_read(const char *path)
{
    return open_file(path, OPEN_READ_BINARY);
}

int board_open_to_write(const char *path)
{
    return open_file(path, OPEN_WRITE_BINARY);
}

size_t board_read(int file, void *memory, size_t bytes)
{
    const uint32_t block[] = {(uint32_t)file, (uint32_t)memory, bytes};
    return bytes == 0 ? 0 : bytes - (size_t)ask(SYS_READ, block); /* it tells what is missing */
}

void board_write(int file, const void *memory, size_t bytes)
{
    const uint32_t block[] = {(uint32_t)file, (uint32_t)memory, bytes};
    if (bytes != 0 && ask(SYS_WRITE, block) != 0)
        fail("cannot write", "");
}

void board_close(int file)
{
    const uint32_t block[] = {(uint32_t)file};
    ask(SYS_CLOSE, block);
}

void board_exit(int code)
{
    const uint32_t block[] = {0x20026, (uint32_t)code}; /* ADP_Stopped_ApplicationExit */
    ask(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}
