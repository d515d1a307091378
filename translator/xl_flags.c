/*
 * The virtual interrupt flag: CLI, STI, POPFD.
 *
 * IF is bit 9 of cpu->eflags; TF, IOPL and NT share its byte, are part of the mode, and the bits in it that belong to
 * the host's RFLAGS (DF, OF) are zero while translated code runs. So CLI and STI are one byte store of a constant.
 */
#include "translator/lean.h"
#include "translator/tu.h"

static uint8_t flags_byte1(const struct tu *u, bool interrupts)
{
	uint8_t iopl = (u->mode >> MODE_IOPL_SHIFT) & 3;

	return (uint8_t)(iopl << 4 | ((u->mode & MODE_NT) ? 0x40 : 0) | (interrupts ? 2 : 0));
}

bool xl_cli(struct tu *u, const struct tinsn *t)
{
	if (!(u->mode & MODE_CLI_OK))
		return false;
	emit_store8_imm(&u->e, cpu_mem(CPU_EFLAGS + 1), flags_byte1(u, false));
	return true;
}

/*
 * STI looks whether an interrupt has been waiting (the dispatcher keeps that word). If so it leaves, with
 * the one-instruction shadow set: the dispatcher interprets the next instruction before it delivers.
 */
bool xl_sti(struct tu *u, const struct tinsn *t)
{
	size_t none;

	if (!(u->mode & MODE_CLI_OK))
		return false;
	emit_store8_imm(&u->e, cpu_mem(CPU_EFLAGS + 1), flags_byte1(u, true));
	emit_mov64(&u->e, H_R9, H_RCX);
	emit_load32(&u->e, H_RCX, tcx_mem(TCX_INTR_WAIT));
	none = emit_jrcxz(&u->e);
	emit_mov64(&u->e, H_RCX, H_R9);
	emit_store8_imm(&u->e, cpu_mem(CPU_SHADOW), SHADOW_STI);
	xl_leave_tc(u, t->next);
	emit_patch8(&u->e, none, u->e.len);
	emit_mov64(&u->e, H_RCX, H_R9);
	return true;
}

/* and r32, imm32; or; test: F7 /0 */
static void with_imm(struct tu *u, unsigned opcode, unsigned group, unsigned reg, uint32_t imm)
{
	emit_rr(&u->e, opcode, group, reg);
	emit_u32(&u->e, imm);
}

/*
 * The host's flags from R8D, reduced to those that are the guest's: no other may reach POPFQ. Needs the monitor's stack for a
 * moment.
 */
static void load_host_flags(struct tu *u)
{
	struct emit *e = &u->e;

	with_imm(u, 0x81, 4, H_R8, FL_HOST);
	with_imm(u, 0x81, 1, H_R8, FL_IF | FL_FIXED1);
	emit_mov64(e, H_R9, H_RSP);
	emit_load64(e, H_RSP, tcx_mem(TCX_HOST_RSP));
	emit_u16(e, 0x5041); /* push r8 */
	emit_u8(e, 0x9d);    /* popfq */
	emit_mov64(e, H_RSP, H_R9);
}

enum { JZ = 4, JNZ = 5 };

/*
 * POPFD in ring 0 that changes nothing but IF and what the host's flags hold: the end of every section with interrupts
 * disabled. It overwrites all flags, so once the stack has been read they are free for use (a fault that comes after all, because
 * the window was stale and the lean path finds the page gone, shows other arithmetic flags to the handler; POPFD runs again). Anything else, and an interrupt that
 * waits for IF, is for the lean path.
 */
static bool popf_inline(struct tu *u, const struct tinsn *t)
{
	struct emit *e = &u->e;
	size_t differs, off, waits, set, done, back;

	emit_load32(e, H_R8, guest_mem(H_RSP, 0));
	emit_load32(e, H_R10, cpu_mem(CPU_EFLAGS));
	emit_rr(e, 0x33, H_R10, H_R8); /* xor r10d, r8d */
	with_imm(u, 0xf7, 0, H_R10, ~(uint32_t)(FL_HOST | FL_IF | FL_FIXED1));
	differs = emit_jcc32(e, JNZ);
	with_imm(u, 0xf7, 0, H_R8, FL_IF);
	off = emit_jcc32(e, JZ);
	emit_load32(e, H_R10, tcx_mem(TCX_INTR_WAIT));
	emit_rr(e, 0x85, H_R10, H_R10); /* test r10d, r10d */
	waits = emit_jcc32(e, JNZ);
	emit_store8_imm(e, cpu_mem(CPU_EFLAGS + 1), flags_byte1(u, true));
	set = emit_jmp32(e);
	emit_patch32(e, off, e->len);
	emit_store8_imm(e, cpu_mem(CPU_EFLAGS + 1), flags_byte1(u, false));
	emit_patch32(e, set, e->len);
	load_host_flags(u);
	emit_lea32(e, H_RSP, guest_mem(H_RSP, 4));
	done = emit_jmp32(e);
	emit_patch32(e, differs, e->len);
	emit_patch32(e, waits, e->len);
	back = xl_lean_call(u, t, LEAN_WORD(LEAN_POPF, 0, 0));
	emit_patch32(e, back, e->len);
	emit_patch32(e, done, e->len);
	return true;
}

bool xl_popf(struct tu *u, const struct tinsn *t)
{
	if (!xl_stack_flat(u))
		return false;
	if ((u->mode & (MODE_CPL0 | MODE_NT)) == MODE_CPL0 && t->form == FORM_WINDOW && !tinsn_op16(t))
		return popf_inline(u, t);
	return xl_lean(u, t, LEAN_WORD(LEAN_POPF, 0, 0));
}
