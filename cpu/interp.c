/*
 * The interpreter: one instruction at a time, straight from guest memory. It
 * is the reference the translator is tested against, so it prefers plainness
 * to speed: decode, find the handler in the table, run it.
 *
 * A handler runs with cpu->rip already at the next instruction and either
 * completes or leaves the state alone. What the interpreter itself changed
 * beforehand (rip, shadow, RF, pending_db) it puts back:
 *
 *     before   rip=1000 RF=1 shadow=STI     ADD [mem], eax
 *     handler  rip=1003 RF=0 shadow=0
 *     OK       rip=1003 RF=0 shadow=0, and #DB pending if TF was 1
 *     FAULT    rip=1000 RF=1 shadow=STI, cpu->fault says what happened
 */
#include "cpu/ops.h"

/* What a handler's failure must not have changed. */
struct saved {
	uint64_t rip;
	uint32_t eflags, pending_db;
	uint8_t shadow;
};

static void roll_back(struct cpu *cpu, const struct saved *s, enum outcome out)
{
	cpu->rip = s->rip;
	cpu->eflags |= s->eflags & FL_RF;
	/*
	 * An instruction to be resumed lets interrupts in: iterations that it completed keep the
	 * traps they made, and the shadow of the instruction before it is over.
	 */
	if (out == OUT_RETRY)
		return;
	cpu->shadow = s->shadow;
	cpu->pending_db = s->pending_db;
}

/*
 * SDM: "Single-Step Exception Condition": TF as it was when the instruction
 * began decides. A load of SS holds the trap off, and it is then lost; a software
 * interrupt clears TF on its way into the handler.
 */
static void retire(struct cpu *cpu, const struct insn *insn, const struct saved *s)
{
	cpu->interp_count++;
	if (cpu->interp_kinds)
		cpu->interp_kinds[CPU_KIND(insn->opcode_map, insn->opcode, insn->modrm >> 3 & 7)]++;
	bool entered_handler = (insn_traits(insn) & TRAIT_NO_STEP) && cpu->rip != insn->next;

	if ((s->eflags & FL_TF) && !(cpu->shadow & SHADOW_SS) && !entered_handler)
		cpu->pending_db |= DR6_BS;
}

enum outcome cpu_interpret_one(struct cpu *cpu)
{
	const struct saved saved = {cpu->rip, cpu->eflags, cpu->pending_db, cpu->shadow};
	struct insn insn;
	enum outcome out = cpu_decode(cpu, &insn);

	if (out != OUT_OK)
		return out;
	op_fn *handler = cpu_find_handler(cpu, &insn);
	if (!handler)
		return cpu_raise(cpu, EXC_UD);
	if (cpu->watch && watch_insn(cpu, &insn))
		return OUT_RETRY;
	cpu->rip = insn.next;
	cpu->shadow = 0;
	cpu->eflags &= ~(uint32_t)FL_RF; /* before the handler: IRET may set it again */
	out = handler(cpu, &insn);
	if (out == OUT_OK)
		retire(cpu, &insn, &saved);
	else
		roll_back(cpu, &saved, out);
	if (cpu->watch && out == OUT_OK)
		cpu->watch->after(cpu);
	return out;
}

static bool deliver_debug(struct cpu *cpu, uint32_t dr6)
{
	cpu->fault = (struct cpu_fault){.vector = EXC_DB, .dr6 = dr6};
	return cpu_deliver_fault(cpu);
}

/* Trap-class #DB, unless a load of SS holds it off until after the next instruction. */
static bool deliver_pending(struct cpu *cpu)
{
	uint32_t dr6 = cpu->pending_db;

	if (!dr6 || (cpu->shadow & SHADOW_SS))
		return false;
	cpu->pending_db = 0;
	if (!deliver_debug(cpu, dr6))
		cpu->pending_db = dr6;
	return true;
}

void cpu_step(struct cpu *cpu)
{
	if (cpu->shutdown)
		return;
	if (deliver_pending(cpu) || cpu->halted)
		return;
	if (debug_armed(cpu)) {
		uint32_t linear = (uint32_t)(cpu->seg[S_CS].base + cpu->rip);
		uint32_t dr6 = debug_match_exec(cpu, linear);

		if (dr6 && !(cpu->shadow & SHADOW_SS)) {
			deliver_debug(cpu, dr6);
			return;
		}
	}
	switch (cpu_interpret_one(cpu)) {
	case OUT_FAULT:
		cpu_deliver_fault(cpu);
		break;
	case OUT_ERROR: /* reported where it happened; the machine cannot go on */
		cpu->shutdown = true;
		break;
	default:
		deliver_pending(cpu);
		break;
	}
}
