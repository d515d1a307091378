/* What happens on each vector: exceptions, interrupts, system calls. */
#include "kernel.h"
#include "syscall.h"

enum { BREAKPOINT = 3, PAGE_FAULT = 14, EXCEPTIONS = 32, MOST_WRITE = 4096 };
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4 };

static const char *const names[EXCEPTIONS] = {
	"divide error",
	"debug",
	"NMI",
	"breakpoint",
	"overflow",
	"bound",
	"invalid opcode",
	"no FPU",
	"double fault",
	"?",
	"invalid TSS",
	"segment absent",
	"stack fault",
	"general protection",
	"page fault",
	"?",
	"FPU error",
	"alignment",
	"machine check",
	"SIMD error",
};

static bool from_user(const struct frame *f)
{
	return f->cs & 3;
}

/* Only the stack grows by itself. */
static bool grow_stack(uint32_t address)
{
	uint32_t page = address & ~(PAGE - 1);
	void *frame;

	if (page < (uint32_t)USER_STACK_TOP - USER_STACK_PAGES * PAGE ||
	    page >= (uint32_t)USER_STACK_TOP)
		return false;
	frame = frame_alloc();
	if (!frame)
		return false;
	if (!space_map(current->directory, page, frame, true)) {
		frame_free(frame);
		return false;
	}
	return true;
}

static void describe(const struct frame *f, uint32_t cr2)
{
	const char *name = names[f->vector] ? names[f->vector] : "exception";

	print("%s (vector %u, error %x) at eip %08x", name, f->vector, f->error, f->eip);
	if (f->vector == PAGE_FAULT)
		print(": %s of %08x, %s", f->error & PF_WRITE ? "write" : "read", cr2,
		      f->error & PF_PRESENT ? "not allowed" : "not mapped");
	print("\n");
}

static struct frame *exception(struct frame *f)
{
	uint32_t cr2 = read_cr2();

	if (f->vector == PAGE_FAULT && from_user(f) && !(f->error & PF_PRESENT) && grow_stack(cr2))
		return f;
	if (from_user(f)) {
		print("\n[%s, pid %u: killed by ", current->name, current->pid);
		describe(f, cr2);
		process_end(current);
		return schedule();
	}
	print("\nkernel stopped: ");
	describe(f, cr2);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static uint32_t sys_write(uint32_t text, uint32_t length)
{
	if (length > MOST_WRITE)
		length = MOST_WRITE;
	if (!space_user_range(current->directory, text, length))
		return -1;
	console_write((const char *)text, length);
	return length;
}

static struct frame *system_call(struct frame *f)
{
	switch (f->eax) {
	case SYS_EXIT:
		process_end(current);
		return schedule();
	case SYS_WRITE:
		f->eax = sys_write(f->ebx, f->ecx);
		return f;
	case SYS_SLEEP:
		current->wake_tick = timer_ticks() + divide((uint64_t)f->ebx * HZ + 999, 1000);
		current->state = SLEEPING;
		f->eax = 0;
		return schedule();
	case SYS_GETPID:
		f->eax = current->pid;
		return f;
	case SYS_YIELD:
		return schedule();
	case SYS_PROGRESS:
		current->progress = f->ebx;
		return f;
	case SYS_TSC_KHZ:
		f->eax = timer_tsc_khz();
		return f;
	default:
		f->eax = -1;
		return f;
	}
}

static struct frame *interrupt(struct frame *f, unsigned irq)
{
	irq_done(irq);
	if (irq == IRQ_TIMER) {
		timer_tick();
		process_tick();
		return schedule();
	}
	if (irq == IRQ_COM1)
		console_interrupt();
	/* An idle processor takes up at once what the interrupt has woken. */
	return current == &processes[IDLE_SLOT] ? schedule() : f;
}

struct frame *trap_handle(struct frame *f)
{
	current->frame = f;
	if (f->vector < EXCEPTIONS)
		return exception(f);
	if (f->vector < IRQ_VECTOR + 16)
		return interrupt(f, f->vector - IRQ_VECTOR);
	if (f->vector == SYSCALL_VECTOR)
		return system_call(f);
	if (f->vector == YIELD_VECTOR)
		return schedule();
	return f;
}
