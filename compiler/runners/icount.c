/*
 * QEMU plugin: counts the instructions that a guest executes between marks. Programs of Linux make
 * them by system calls with a magic first argument (driver.c). Those of boards, which have no system,
 * by calling functions whose addresses the plugin is told (boards/board.h).
 *
 *     qemu-aarch64 -plugin icount.so,out=FILE[,mnemonics=on][,blocks=on] PROGRAM
 *     qemu-system-arm -plugin icount.so,out=FILE,begin=ADDRESS,end=ADDRESS[,step=ADDRESS] ...
 *
 * FILE gets one line per mark, "mark POSITION INSTRUCTIONS-SO-FAR". For what ran between the last
 * begin and the last end mark it gets, with mnemonics=on, one line per mnemonic, "count N MNEMONIC",
 * and with blocks=on one per straight piece of code, "block ADDRESS INSTRUCTIONS EXECUTIONS".
 *
 * The few functions of QEMU's plugin interface (version 1, QEMU 6 and later) are declared here:
 * distributions do not ship its header.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info_t;

typedef void (*translate_function)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*syscall_function)(qemu_plugin_id_t, unsigned vcpu, int64_t number, uint64_t a1,
                                 uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                                 uint64_t a7, uint64_t a8);
typedef void (*exit_function)(qemu_plugin_id_t, void *);
typedef void (*execute_function)(unsigned vcpu, void *);

enum { INLINE_ADD_U64 = 0, NO_REGISTERS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translate_function);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_function);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exit_function, void *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int op, void *, uint64_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, execute_function, int, void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int op, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *);

enum { MARKER = 0x50454e4a, MARK_BEGIN = 1, MARK_END = 2, MARK_STEP = 16 };
enum { MOST_MNEMONICS = 2048, LONGEST = 31 };

EXPORT int qemu_plugin_version = 1;

static uint64_t instructions;
static FILE *out;
static int with_mnemonics;
static int with_blocks;

/* Functions whose calls are marks. */
static struct {
    const char *option;
    uintptr_t position;
    uint64_t address; /* 0 = none */
} marked[] = {{"begin=", MARK_BEGIN, 0}, {"end=", MARK_END, 0}, {"step=", MARK_STEP, 0}};
enum { MARKED = sizeof marked / sizeof marked[0] };

static struct {
    char text[LONGEST + 1];
    uint64_t now;   /* executed so far */
    uint64_t begin; /* at the last begin mark */
    uint64_t end;   /* at the last end mark */
} mnemonics[MOST_MNEMONICS];
static int known;

/* One translation; code that was translated twice has two. */
struct block {
    struct block *next;
    uint64_t address, instructions;
    uint64_t now, begin, end; /* executions, as above */
};
static struct block *blocks;

static void count_block(struct qemu_plugin_tb *translation, size_t instructions_in_it)
{
    struct block *block = calloc(1, sizeof *block);
    if (block == NULL)
        abort();
    block->next = blocks;
    block->address = qemu_plugin_tb_vaddr(translation);
    block->instructions = instructions_in_it;
    qemu_plugin_register_vcpu_tb_exec_inline(translation, INLINE_ADD_U64, &block->now, 1);
    blocks = block;
}

/* The counter of an instruction's first word; the last counter takes what finds no room. */
static uint64_t *counter_of(const char *disassembly)
{
    size_t length = strcspn(disassembly, " \t");
    if (length > LONGEST)
        length = LONGEST;
    for (int i = 0; i < known; i++)
        if (strlen(mnemonics[i].text) == length && !memcmp(mnemonics[i].text, disassembly, length))
            return &mnemonics[i].now;
    if (known == MOST_MNEMONICS)
        return &mnemonics[known - 1].now;
    memcpy(mnemonics[known].text, disassembly, length);
    return &mnemonics[known++].now;
}

static void mark(uint64_t position)
{
    fprintf(out, "mark %llu %llu\n", (unsigned long long)position,
            (unsigned long long)instructions);
    for (int i = 0; i < known; i++)
        if (position == MARK_BEGIN)
            mnemonics[i].begin = mnemonics[i].now;
        else if (position == MARK_END)
            mnemonics[i].end = mnemonics[i].now;
    for (struct block *b = blocks; b != NULL; b = b->next)
        if (position == MARK_BEGIN)
            b->begin = b->now;
        else if (position == MARK_END)
            b->end = b->now;
}

static void on_marked(unsigned vcpu, void *position)
{
    (void)vcpu;
    mark((uintptr_t)position);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    for (int i = 0; i < MARKED; i++)
        if (marked[i].address != 0 && marked[i].address == qemu_plugin_tb_vaddr(block))
            qemu_plugin_register_vcpu_tb_exec_cb(block, on_marked, NO_REGISTERS,
                                                 (void *)marked[i].position);
    /* A block runs to its end: only faults leave it early, and a model makes none. */
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &instructions, count);
    if (with_blocks)
        count_block(block, count);
    for (size_t i = 0; with_mnemonics && i < count; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        char *text = qemu_plugin_insn_disas(instruction);
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, INLINE_ADD_U64,
                                                   counter_of(text ? text : "unknown"), 1);
        free(text);
    }
}

static void on_syscall(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)vcpu, (void)number, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (a1 == MARKER)
        mark(a2);
}

static void on_exit_(qemu_plugin_id_t id, void *data)
{
    (void)id, (void)data;
    for (int i = 0; i < known; i++)
        if (mnemonics[i].end > mnemonics[i].begin)
            fprintf(out, "count %llu %s\n",
                    (unsigned long long)(mnemonics[i].end - mnemonics[i].begin), mnemonics[i].text);
    for (struct block *b = blocks; b != NULL; b = b->next)
        if (b->end > b->begin)
            fprintf(out, "block %llu %llu %llu\n", (unsigned long long)b->address,
                    (unsigned long long)b->instructions, (unsigned long long)(b->end - b->begin));
    fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc,
                               char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
        else if (!strcmp(argv[i], "mnemonics=on"))
            with_mnemonics = 1;
        else if (!strcmp(argv[i], "blocks=on"))
            with_blocks = 1;
        else
            for (int k = 0; k < MARKED; k++)
                if (!strncmp(argv[i], marked[k].option, strlen(marked[k].option)))
                    marked[k].address = strtoull(argv[i] + strlen(marked[k].option), NULL, 0);
    if (out == NULL)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
    return 0;
}
