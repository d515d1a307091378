/*
 * The embedded default guest: what `ringfence` boots when no other kernel is given.
 *
 * A small Multiboot kernel that uses the processor the way a real one does: kernel in the upper
 * quarter on 4 MiB global pages, user processes below on 4 KiB pages of their own, a timer
 * interrupt that preempts, system calls by INT 80h, and a shell on COM1 fed by interrupts.
 *
 *   boot.S        Multiboot entry, first page directory        memory.c   frames and address spaces
 *   trap.S        interrupt entry and exit                     process.c  processes, scheduler
 *   descriptors.c GDT, IDT, TSS                                trap.c     dispatch of traps, system
 * calls console.c     serial port, printing                        timer.c    8259, 8254, time
 *   acpi.c        power-off and reset                          shell.c    line editor; commands.c,
 * bench.c
 *
 * Locking: one processor, and traps run with interrupts off. Kernel threads (the shell) can be
 * preempted; what they share with traps they touch between irq_save() and irq_restore().
 */
#ifndef GUEST_KERNEL_H
#define GUEST_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KERNEL_BASE = 0xc0000000,
	DIRECT_MAP_LIMIT = 0x30000000, /* the first 768 MiB of RAM are mapped at KERNEL_BASE */
	PAGE = 4096,
	USER_IMAGE = 0x400000,
	USER_STACK_TOP = 0xbffff000,
	USER_STACK_PAGES = 16, /* filled on demand */
	HZ = 250,
};
enum { KCODE = 0x08, KDATA = 0x10, UCODE = 0x1b, UDATA = 0x23, TSS_SELECTOR = 0x28 };
enum { IRQ_VECTOR = 0x20, IRQ_TIMER = 0, IRQ_COM1 = 4, SYSCALL_VECTOR = 0x80, YIELD_VECTOR = 0x81 };

/* ---- trap.S: the registers of interrupted code; esp and ss only when it ran in ring 3 ---- */
struct frame {
	uint32_t gs, fs, es, ds;
	uint32_t edi, esi, ebp, unused, ebx, edx, ecx, eax;
	uint32_t vector, error;
	uint32_t eip, cs, eflags, esp, ss;
};
/* The frame of a trap in ring 0 ends here. */
enum { KERNEL_FRAME_SIZE = offsetof(struct frame, esp) };
_Static_assert(sizeof(struct frame) == 19 * 4, "layout known to trap.S");

/* ---- descriptors.c ---- */
void descriptors_init(void);
void descriptors_set_kernel_stack(uint32_t top);

/* ---- trap.c ---- */
struct frame *trap_handle(struct frame *);

/* ---- console.c ---- */
void console_init(void);
void console_write(const char *, size_t);
/* %s %c %u %d %x with width, '-' and '0'; nothing else. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_interrupt(void);
/* Sleeps until a character comes. Kernel threads only. */
char console_getchar(void);

/* ---- memory.c ---- */
struct multiboot_info;
void memory_init(const struct multiboot_info *);
uint32_t memory_total_frames(void);
uint32_t memory_free_frames(void);
/* A zeroed frame, by its direct-map address; null when there is none. */
void *frame_alloc(void);
void frame_free(void *);
static inline uint32_t to_physical(const void *p)
{
	return (uint32_t)(uintptr_t)p - (uint32_t)KERNEL_BASE;
}
static inline void *to_virtual(uint32_t pa)
{
	return (void *)(uintptr_t)(pa + (uint32_t)KERNEL_BASE);
}
/* Any physical address, through a window of 8 MiB that the next call moves. */
void *memory_map_physical(uint32_t pa);

extern uint32_t kernel_directory[1024];
uint32_t *space_create(void);
void space_destroy(uint32_t *directory);
/* False when memory is out. The frame becomes the address space's. */
bool space_map(uint32_t *directory, uint32_t va, void *frame, bool writable);
/* Is every byte of the range mapped for user mode? */
bool space_user_range(const uint32_t *directory, uint32_t va, uint32_t length);
uint32_t space_count_pages(const uint32_t *directory);
/* Is the address mapped at all? Safe to read for `peek`. */
bool space_readable(const uint32_t *directory, uint32_t va);

/* ---- process.c ---- */
enum state { FREE, READY, SLEEPING, WAITING };
enum { MAX_PROCESSES = 16, IDLE_SLOT = 0, SHELL_SLOT = 1, KERNEL_STACK = PAGE };
struct process {
	enum state state;
	uint32_t pid;
	const char *name;
	uint32_t *directory; /* kernel_directory for kernel threads */
	struct frame *frame; /* where it stopped */
	uint8_t *stack;	     /* kernel stack; stays with the slot */
	uint32_t ticks;	     /* of processor time */
	uint32_t wake_tick;
	uint32_t progress; /* what the process last reported */
};
extern struct process processes[MAX_PROCESSES];
extern struct process *current;
void process_init(void (*shell)(void));
/* Start running processes; does not return. */
void process_enter(void) __attribute__((noreturn));
/* Null when there is no such program, slot or memory. */
struct process *process_start(const char *program, uint32_t argument);
const char *program_name(unsigned index); /* null past the last */
struct process *process_find(uint32_t pid);
/* Ends a user process; if it is the current one the caller must schedule next. */
void process_end(struct process *);
/* Choose who runs next and make its address space and stack current. */
struct frame *schedule(void);
void process_tick(void);
/* From a kernel thread: give up the processor until woken (or at once, when READY). */
void thread_sleep(enum state);
void thread_sleep_ticks(uint32_t);
void wake_shell(void);

/* ---- timer.c ---- */
void timer_init(void);
void timer_tick(void);
void irq_done(unsigned irq);
uint32_t timer_ticks(void);
/* Kilohertz of the TSC, measured against the 8254 at start. */
uint32_t timer_tsc_khz(void);

/* ---- acpi.c ---- */
void machine_power_off(void);
void machine_reboot(void);

/* ---- shell.c, commands.c, bench.c ---- */
void shell_main(void);
/* argv[0] is the command; argc >= 1. */
void command_run(int argc, char **argv);
void bench_run(void);

/* ---- strings ---- */
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
size_t string_length(const char *);
bool string_equal(const char *, const char *);
bool parse_number(const char *, uint32_t *);

/* ---- instructions ---- */
static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint32_t irq_save(void)
{
	uint32_t flags;

	__asm__ volatile("pushfl; popl %0; cli" : "=r"(flags) : : "memory");
	return flags;
}
static inline void irq_restore(uint32_t flags)
{
	__asm__ volatile("pushl %0; popfl" : : "r"(flags) : "memory", "cc");
}
static inline void load_cr3(uint32_t pa)
{
	__asm__ volatile("movl %0, %%cr3" : : "r"(pa) : "memory");
}
static inline uint32_t read_cr2(void)
{
	uint32_t v;

	__asm__ volatile("movl %%cr2, %0" : "=r"(v));
	return v;
}
static inline uint64_t rdtsc(void)
{
	uint64_t v;

	__asm__ volatile("rdtsc" : "=A"(v));
	return v;
}
/* 64 by 32 bits; the quotient must fit 32 bits. Keeps libgcc out. */
static inline uint32_t divide(uint64_t n, uint32_t d)
{
	uint32_t q, r;

	if ((uint32_t)(n >> 32) >= d)
		return UINT32_MAX;
	__asm__("divl %4"
		: "=a"(q), "=d"(r)
		: "0"((uint32_t)n), "1"((uint32_t)(n >> 32)), "r"(d)
		: "cc");
	return q;
}

#endif
