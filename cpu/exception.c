/*
 * Exceptions and interrupts on their way to the guest.
 *
 * An event is tried; when its delivery faults, the two are combined by the
 * table of SDM "Interrupt 8 - Double Fault Exception" and the result is tried,
 * until one gets through or the processor shuts down. An attempt either
 * succeeds or has changed nothing; the one exception is a task switch, past
 * whose commit point the fault belongs to the new task.
 */
#include "cpu/transfer.h"

/* Vectors that push an error code. */
static bool has_error_code(unsigned vector)
{
	const uint32_t with = 1u << EXC_DF | 1u << EXC_TS | 1u << EXC_NP | 1u << EXC_SS |
			      1u << EXC_GP | 1u << EXC_PF | 1u << EXC_AC;
	return vector < 32 && (with >> vector & 1);
}

enum outcome cpu_raise_error(struct cpu *cpu, unsigned vector, uint32_t error)
{
	cpu->fault = (struct cpu_fault){
		.vector = (uint8_t)vector,
		.has_error = has_error_code(vector),
		.error = error,
	};
	return OUT_FAULT;
}

enum outcome cpu_raise(struct cpu *cpu, unsigned vector)
{
	return cpu_raise_error(cpu, vector, 0);
}

/* ---- real mode ---- */

/* SDM: "Interrupt and Exception Handling" of real-address mode. Error codes are not pushed. */
static enum outcome real_deliver(struct cpu *cpu, struct event *e)
{
	struct frame f = {.size = 2};
	struct stack_target t = stack_current(cpu);
	uint16_t entry[2];
	uint32_t esp;
	enum outcome o;

	if (e->vector * 4u + 3 > cpu->idtr.limit)
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = cpu->ops->read(cpu, gva((uint32_t)(cpu->idtr.base + e->vector * 4u)), entry, 4,
			   ACC_READ);
	if (o != OUT_OK)
		return o;
	frame_add(&f, e->eflags & 0xffff);
	frame_add(&f, cpu->seg[S_CS].sel);
	frame_add(&f, e->eip & 0xffff);
	o = frame_push(cpu, &f, &t, &esp);
	if (o != OUT_OK)
		return o;
	cpu->gpr[R_ESP] = esp;
	cpu_set_real_segment(cpu, S_CS, entry[1]);
	cpu->rip = entry[0];
	cpu->eflags &= ~(uint32_t)(FL_IF | FL_TF | FL_AC | FL_RF);
	return OUT_OK;
}

static void tell(struct cpu *cpu, const struct event *e)
{
	const struct cpu_delivery d = {e->kind, e->vector, e->has_error, e->error, e->eip};

	if (cpu->ops->delivering)
		cpu->ops->delivering(cpu, &d);
}

static enum outcome attempt(struct cpu *cpu, struct event *e)
{
	enum outcome o;

	tell(cpu, e);
	o = cpu_protected(cpu) ? gate_deliver(cpu, e) : real_deliver(cpu, e);

	/* The EXT bit: the program did not ask for this (SDM: "Error Code"). */
	if (o == OUT_FAULT && e->kind != EVENT_SOFT && cpu->fault.vector >= EXC_TS &&
	    cpu->fault.vector <= EXC_GP)
		cpu->fault.error |= 1;
	return o;
}

/* ---- combination ---- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE };

static enum fault_class fault_class(const struct event *e)
{
	if (e->kind != EVENT_EXCEPTION)
		return BENIGN;
	switch (e->vector) {
	case EXC_DE:
	case EXC_TS:
	case EXC_NP:
	case EXC_SS:
	case EXC_GP:
		return CONTRIBUTORY;
	case EXC_PF:
		return PAGE_FAULT;
	case EXC_DF:
		return DOUBLE;
	default:
		return BENIGN;
	}
}

/*
 * RF in the saved EFLAGS: set for faults, so that the restarted instruction does not meet its own
 * breakpoint again (SDM: "Instruction-Breakpoint Exception Condition"); traps, aborts and the
 * breakpoint itself save it as it is.
 */
static bool saves_rf(const struct cpu_fault *fault)
{
	switch (fault->vector) {
	case EXC_DB:
		return fault->dr6 & DR6_BD;
	case EXC_NMI:
	case EXC_BP:
	case EXC_OF:
	case EXC_DF:
	case EXC_MC:
		return false;
	default:
		return true;
	}
}

/* Registers that describe the exception are loaded when it is delivered, not when it is found. */
static struct event event_of_fault(struct cpu *cpu)
{
	const struct cpu_fault *fault = &cpu->fault;
	struct event e = {
		.vector = fault->vector,
		.kind = EVENT_EXCEPTION,
		.has_error = fault->has_error,
		.error = fault->error,
		.eip = (uint32_t)cpu->rip,
		.eflags = cpu->eflags,
	};

	if (saves_rf(fault))
		e.eflags |= FL_RF;
	if (fault->vector == EXC_PF)
		cpu->cr2 = fault->cr2;
	if (fault->vector == EXC_DB) {
		cpu->dr[6] = (cpu->dr[6] & ~(uint64_t)0xf) | fault->dr6;
		cpu->dr[7] &= ~(uint64_t)DR7_GD;
	}
	return e;
}

/* The event to try after delivering `e` made cpu->fault; false: shutdown. */
static bool combine(struct cpu *cpu, struct event *e)
{
	enum fault_class first = fault_class(e), second;
	struct event next;

	if (first == DOUBLE)
		return false;
	next = event_of_fault(cpu);
	second = fault_class(&next);
	if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
	    (first == PAGE_FAULT && (second == CONTRIBUTORY || second == PAGE_FAULT)))
		next = (struct event){
			.vector = EXC_DF,
			.kind = EVENT_EXCEPTION,
			.has_error = true,
			.eip = (uint32_t)cpu->rip,
			.eflags = cpu->eflags,
		};
	*e = next;
	if (cpu->watch)
		watch_exception(cpu, e->vector, e->error, false);
	return true;
}

static void deliver(struct cpu *cpu, struct event *e)
{
	enum outcome o;

	while ((o = attempt(cpu, e)) != OUT_OK) {
		if (o == OUT_RETRY)
			continue;
		if (o == OUT_ERROR || !combine(cpu, e)) {
			cpu->shutdown = true;
			break;
		}
	}
	cpu->shadow = 0;
	cpu->halted = 0; /* a debug trap ends HLT as interrupts do */
	if (cpu->watch)
		cpu->watch->after(cpu);
}

void deliver_in_new_task(struct cpu *cpu)
{
	struct event e;

	if (cpu->watch)
		watch_exception(cpu, cpu->fault.vector, cpu->fault.error, false);
	e = event_of_fault(cpu);
	deliver(cpu, &e);
}

bool cpu_deliver_fault(struct cpu *cpu)
{
	struct event e;

	if (cpu->watch && watch_exception(cpu, cpu->fault.vector, cpu->fault.error, true))
		return false;
	e = event_of_fault(cpu);
	deliver(cpu, &e);
	return true;
}

void cpu_deliver_interrupt(struct cpu *cpu, unsigned vector)
{
	struct event e = {
		.vector = (uint8_t)vector,
		.kind = EVENT_EXTERNAL,
		.eip = (uint32_t)cpu->rip,
		.eflags = cpu->eflags,
	};

	if (vector == EXC_NMI)
		cpu->nmi_block = 1;
	deliver(cpu, &e);
}

/*
 * INT1 is delivered like the processor's own #DB: no DPL check, and in vm86 mode no IOPL check
 * either. INT n alone is sensitive to IOPL (SDM: "Interrupt and Exception Handling in Virtual-8086
 * Mode").
 */
enum outcome cpu_soft_interrupt(struct cpu *cpu, const struct insn *insn, unsigned vector)
{
	bool icebp = insn->opcode == 0xf1;
	struct event e = {
		.vector = (uint8_t)vector,
		.kind = icebp ? EVENT_EXCEPTION : EVENT_SOFT,
		.eip = (uint32_t)insn->next,
		.eflags = cpu->eflags,
	};
	enum outcome o;

	if (cpu_protected(cpu) && cpu_vm86(cpu) && insn->opcode == 0xcd && cpu_iopl(cpu) < 3)
		return cpu_raise_error(cpu, EXC_GP, 0);
	o = attempt(cpu, &e);
	/* Past a task switch the fault is the new task's: the interpreter must not rewind it. */
	if (o == OUT_FAULT && e.committed) {
		deliver_in_new_task(cpu);
		return OUT_OK;
	}
	return o;
}

enum outcome op_int(struct cpu *cpu, const struct insn *insn)
{
	return cpu_soft_interrupt(cpu, insn, insn->bytes[insn->length - 1]);
}

enum outcome op_int3(struct cpu *cpu, const struct insn *insn)
{
	return cpu_soft_interrupt(cpu, insn, EXC_BP);
}

enum outcome op_into(struct cpu *cpu, const struct insn *insn)
{
	return cpu->eflags & FL_OF ? cpu_soft_interrupt(cpu, insn, EXC_OF) : OUT_OK;
}

enum outcome op_int1(struct cpu *cpu, const struct insn *insn)
{
	return cpu_soft_interrupt(cpu, insn, EXC_DB);
}
