/*
 * Runs a compiled model on a board, once for each set of inputs in the file "inputs": the bytes of
 * all inputs one after the other. Writes the outputs of all runs to "outputs" and, as text, to
 * "stack" the bytes of stack that the model touched in its worst run.
 *
 * Every buffer lies between guards that nobody may change, at the alignment that the model asks
 * for and no better.
 *
 * Exit code: 0 done, 2 trouble with a file, 3 the model wrote where it may not, 4 it crashed,
 * 16 + status if it refused its arguments.
 */
#include "board.h"
#include "model_facts.h" /* MODEL_RUN, INPUTS, INPUT_BYTES, ARENA_BYTES, ... */

enum { WROTE_OUTSIDE = 3, MODEL_REFUSED = 16, GUARD_BYTES = 64, GUARD = 0xA5 };
static const uint32_t PAINT = 0xC5C5C5C5;

int MODEL_RUN(const void *const *inputs, void *const *outputs, void *arena, size_t arena_bytes);

static const size_t input_bytes[] = INPUT_BYTES, output_bytes[] = OUTPUT_BYTES;
static uint8_t pool[POOL_BYTES] __attribute__((aligned(64)));
static size_t taken;

/* Memory between two guards, aligned to `alignment` and, if that is below 32, not to twice it. */
static void *take(size_t bytes, size_t alignment)
{
    size_t start = (taken + GUARD_BYTES + 63) / 64 * 64 + (alignment < 32 ? alignment : 0);
    for (; taken < start; taken++)
        pool[taken] = GUARD;
    for (taken += bytes; taken < start + bytes + GUARD_BYTES; taken++)
        ;
    for (size_t i = start + bytes; i < taken; i++)
        pool[i] = GUARD;
    return pool + start;
}

static int is_guarded(const uint8_t *buffer, size_t bytes)
{
    for (int i = 1; i <= GUARD_BYTES; i++)
        if (buffer[-i] != GUARD || buffer[bytes + (size_t)i - 1] != GUARD)
            return 0;
    return 1;
}

static void check(const void *buffer, size_t bytes, const char *what)
{
    if (!is_guarded(buffer, bytes)) {
        board_print("the model wrote before or behind ");
        board_print(what);
        board_exit(WROTE_OUTSIDE);
    }
}

/* FNV-1a (Fowler, Noll, Vo) of all inputs. */
static uint32_t hash_inputs(const void *const *inputs)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < INPUTS; i++)
        for (size_t k = 0; k < input_bytes[i]; k++)
            hash = (hash ^ ((const uint8_t *)inputs[i])[k]) * 16777619u;
    return hash;
}

/* Runs the model once; returns the bytes of stack that it touched. */
static __attribute__((noinline)) size_t run(const void *const *inputs, void *const *outputs,
                                            void *arena)
{
    uint32_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (volatile uint32_t *word = board_stack_bottom; word < top; word++)
        *word = PAINT;
    board_mark_begin();
    int status = MODEL_RUN(inputs, outputs, arena, ARENA_BYTES);
    board_mark_end();
    if (status != 0)
        board_exit(MODEL_REFUSED + status);
    volatile uint32_t *touched = board_stack_bottom;
    while (touched < top && *touched == PAINT)
        touched++;
    return (size_t)(top - touched) * sizeof *touched;
}

static void write_number(const char *path, size_t number)
{
    char digits[11];
    size_t first = sizeof digits;
    do
        digits[--first] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    int file = board_open_to_write(path);
    board_write(file, digits + first, sizeof digits - first);
    board_close(file);
}

int main(void)
{
    static void *inputs[INPUTS + 1], *outputs[OUTPUTS + 1];
    size_t all_inputs = 0, worst = 0;
    for (int i = 0; i < INPUTS; i++) {
        inputs[i] = take(input_bytes[i], INPUT_ALIGN);
        all_inputs += input_bytes[i];
    }
    for (int i = 0; i < OUTPUTS; i++)
        outputs[i] = take(output_bytes[i], OUTPUT_ALIGN);
    void *arena = take(ARENA_BYTES, ARENA_ALIGN);

    int from = board_open_to_read("inputs"), to = board_open_to_write("outputs");
    do {
        size_t got = 0;
        for (int i = 0; i < INPUTS; i++)
            got += board_read(from, inputs[i], input_bytes[i]);
        if (got < all_inputs)
            break;
        uint32_t hash = hash_inputs((const void *const *)inputs);
        size_t stack = run((const void *const *)inputs, outputs, arena);
        worst = stack > worst ? stack : worst;
        check(arena, ARENA_BYTES, "the arena\n");
        for (int i = 0; i < INPUTS; i++)
            check(inputs[i], input_bytes[i], "an input\n");
        for (int i = 0; i < OUTPUTS; i++) {
            check(outputs[i], output_bytes[i], "an output\n");
            board_write(to, outputs[i], output_bytes[i]);
        }
        if (!INPUTS_MAY_CHANGE && hash != hash_inputs((const void *const *)inputs)) {
            board_print("the model changed an input\n");
            board_exit(WROTE_OUTSIDE);
        }
    } while (all_inputs != 0);
    board_close(to);
    write_number("stack", worst);
    return 0;
}
