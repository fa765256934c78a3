/* What runs before main() on a Cortex-M board, and what runs if the program goes wrong. */
#include "board.h"

int main(void);
void board_reset(void);

/* From the linker script. */
extern uint32_t board_stack_top[], board_data_start[], board_data_end[], board_bss_start[],
    board_bss_end[];
extern const uint32_t board_data_image[];

/* Different text in each, else a compiler may make one function of the three. */
__attribute__((noinline, used)) void board_mark_begin(void)
{
    __asm__ volatile("" ::"i"(1) : "memory");
}

__attribute__((noinline, used)) void board_mark_end(void)
{
    __asm__ volatile("" ::"i"(2) : "memory");
}

__attribute__((noinline, used)) void penjing_step(int call)
{
    __asm__ volatile("" ::"i"(3), "r"(call) : "memory");
}

static void enable_floating_point(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: coprocessors 10 and 11 */
    __asm__ volatile("dsb\n\tisb");
#endif
#ifdef __ARM_FEATURE_MVE
    __asm__ volatile("vmsr fpscr, %0" ::"r"(4u << 16)); /* LTPSIZE: loops predicate no lane */
#endif
}

void board_reset(void)
{
    enable_floating_point();
    const uint32_t *from = board_data_image;
    for (uint32_t *to = board_data_start; to < board_data_end;)
        *to++ = *from++;
    for (uint32_t *to = board_bss_start; to < board_bss_end;)
        *to++ = 0;
    board_mark_begin(); /* nothing between the two: what the marks themselves cost */
    board_mark_end();
    board_exit(main());
}

/* Named as the crash report: where the program was, and why it stopped (Armv7-M: CFSR, BFAR). */
__attribute__((used)) void board_report_fault(const uint32_t *frame);
void board_report_fault(const uint32_t *frame)
{
    board_print("fault at ");
    board_print_hex(frame[6]);
    board_print(", called from ");
    board_print_hex(frame[5]);
#if __ARM_ARCH >= 7
    board_print(", status ");
    board_print_hex(*(volatile uint32_t *)0xE000ED28);
    board_print(", address ");
    board_print_hex(*(volatile uint32_t *)0xE000ED38);
#endif
    board_print("\n");
    board_exit(BOARD_FAULT);
}

__attribute__((naked)) static void on_fault(void)
{
    __asm__ volatile("mrs r0, msp\n\t"
                     "ldr r1, =board_report_fault\n\t"
                     "bx r1");
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))board_stack_top,
    board_reset,
    on_fault, /* NMI */
    on_fault, /* HardFault */
    on_fault, /* MemManage */
    on_fault, /* BusFault */
    on_fault, /* UsageFault */
    on_fault, /* SecureFault */
    0, 0, 0,
    on_fault, /* SVCall */
    on_fault, /* DebugMonitor */
    0,
    on_fault, /* PendSV */
    on_fault, /* SysTick */
};
