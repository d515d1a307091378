/*
 * Processes and kernel threads, and the round robin between them.
 *
 * A process that does not run is a struct frame on its kernel stack. schedule() picks the next
 * READY slot after the current one; the idle thread (slot 0) runs only when no other can.
 */
#include "kernel.h"

struct image {
	uint32_t text_end, entry; /* see user/crt.S */
};
#define PROGRAM(n) extern const uint8_t program_##n[], program_##n##_end[];
PROGRAM(counter) PROGRAM(spinner) PROGRAM(fault) PROGRAM(bench) static const struct {
	const char *name;
	const uint8_t *start, *end;
} programs[] = {
#define ROW(n)                                                                                     \
	{                                                                                          \
#n, program_##n, program_##n##_end                                                 \
	}
	ROW(counter),
	ROW(spinner),
	ROW(fault),
	ROW(bench),
};
enum { PROGRAMS = sizeof(programs) / sizeof(programs[0]), FLAGS_IF = 0x202 };

struct process processes[MAX_PROCESSES];
struct process *current;
static uint32_t next_pid;

static uint32_t stack_top(const struct process *p)
{
	return (uint32_t)p->stack + KERNEL_STACK;
}

static struct process *slot_take(const char *name, uint32_t *directory)
{
	for (unsigned i = 0; i < MAX_PROCESSES; i++) {
		struct process *p = &processes[i];

		if (p->state != FREE)
			continue;
		if (!p->stack)
			p->stack = frame_alloc();
		if (!p->stack)
			return NULL;
		p->pid = next_pid++;
		p->name = name;
		p->directory = directory;
		p->ticks = p->progress = 0;
		p->state = WAITING; /* until its frame is ready */
		return p;
	}
	return NULL;
}

static void idle(void)
{
	for (;;)
		__asm__ volatile("sti; hlt");
}

static void thread_start(const char *name, void (*body)(void))
{
	struct process *p = slot_take(name, kernel_directory);
	struct frame *f = (struct frame *)(stack_top(p) - KERNEL_FRAME_SIZE);

	memset(f, 0, KERNEL_FRAME_SIZE);
	f->ds = f->es = KDATA;
	f->cs = KCODE;
	f->eip = (uint32_t)body;
	f->eflags = FLAGS_IF;
	p->frame = f;
	p->state = READY;
}

void process_init(void (*shell)(void))
{
	thread_start("idle", idle);
	thread_start("shell", shell);
	current = &processes[IDLE_SLOT];
}

void process_enter(void)
{
	__asm__ volatile("jmp trap_resume" : : "a"(schedule()) : "memory");
	__builtin_unreachable();
}

/* Text pages read-only, the rest writable. */
static bool load_image(uint32_t *directory, const uint8_t *start, const uint8_t *end)
{
	const struct image *header = (const struct image *)start;
	uint32_t size = end - start;

	for (uint32_t at = 0; at < size; at += PAGE) {
		void *frame = frame_alloc();
		uint32_t n = size - at < PAGE ? size - at : PAGE;

		if (!frame)
			return false;
		memcpy(frame, start + at, n);
		if (!space_map(directory, USER_IMAGE + at, frame,
			       USER_IMAGE + at >= header->text_end)) {
			frame_free(frame);
			return false;
		}
	}
	return true;
}

static void first_frame(struct process *p, uint32_t entry, uint32_t argument)
{
	struct frame *f = (struct frame *)(stack_top(p) - sizeof(*f));

	memset(f, 0, sizeof(*f));
	f->ds = f->es = f->fs = f->gs = f->ss = UDATA;
	f->cs = UCODE;
	f->eip = entry;
	f->esp = USER_STACK_TOP;
	f->eflags = FLAGS_IF;
	f->eax = argument;
	p->frame = f;
}

struct process *process_start(const char *program, uint32_t argument)
{
	for (unsigned i = 0; i < PROGRAMS; i++) {
		if (!string_equal(programs[i].name, program))
			continue;
		uint32_t *directory = space_create();
		struct process *p = NULL;
		uint32_t flags = irq_save();

		if (directory && load_image(directory, programs[i].start, programs[i].end))
			p = slot_take(programs[i].name, directory);
		if (p) {
			first_frame(p, ((const struct image *)programs[i].start)->entry, argument);
			p->state = READY;
		} else if (directory) {
			space_destroy(directory);
		}
		irq_restore(flags);
		return p;
	}
	return NULL;
}

const char *program_name(unsigned index)
{
	return index < PROGRAMS ? programs[index].name : NULL;
}

struct process *process_find(uint32_t pid)
{
	for (unsigned i = 0; i < MAX_PROCESSES; i++) {
		if (processes[i].state != FREE && processes[i].pid == pid)
			return &processes[i];
	}
	return NULL;
}

void process_end(struct process *p)
{
	uint32_t flags = irq_save();

	load_cr3(to_physical(kernel_directory)); /* its directory may be the one in use */
	space_destroy(p->directory);
	p->directory = kernel_directory;
	p->state = FREE;
	irq_restore(flags);
}

struct frame *schedule(void)
{
	struct process *next = &processes[IDLE_SLOT];
	unsigned at = current - processes;

	for (unsigned i = 1; i <= MAX_PROCESSES; i++) {
		unsigned slot = (at + i) % MAX_PROCESSES;

		if (slot != IDLE_SLOT && processes[slot].state == READY) {
			next = &processes[slot];
			break;
		}
	}
	if (next->directory != current->directory || current->state == FREE)
		load_cr3(to_physical(next->directory));
	current = next;
	descriptors_set_kernel_stack(stack_top(next));
	return next->frame;
}

void process_tick(void)
{
	uint32_t now = timer_ticks();

	current->ticks++;
	for (unsigned i = 0; i < MAX_PROCESSES; i++) {
		struct process *p = &processes[i];

		if (p->state == SLEEPING && (int32_t)(now - p->wake_tick) >= 0)
			p->state = READY;
	}
}

void thread_sleep(enum state state)
{
	current->state = state;
	__asm__ volatile("int %0" : : "i"(YIELD_VECTOR) : "memory");
}

void thread_sleep_ticks(uint32_t ticks)
{
	uint32_t flags = irq_save();

	current->wake_tick = timer_ticks() + ticks;
	thread_sleep(SLEEPING);
	irq_restore(flags);
}

void wake_shell(void)
{
	if (processes[SHELL_SLOT].state == WAITING)
		processes[SHELL_SLOT].state = READY;
}
