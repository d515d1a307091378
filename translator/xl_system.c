/*
 * System instructions that are worth an expansion or the lean path: the time-stamp counter, the ways into the kernel and out of it, control
 * registers, FPU state, ports. Flags: xl_flags.c; segments: xl_segment.c.
 */
#include "translator/lean.h"
#include "translator/tu.h"

/* bswap r8 or r8d */
static void bswap_r8(struct emit *e, bool wide)
{
	emit_u8(e, wide ? 0x49 : 0x41);
	emit_u16(e, 0xc80f);
}

/*
 * EDX:EAX plus 64 bits. ADC and shifts would change flags, and two halves through memory are waited for when they are loaded as one: two
 * BSWAPs move a register's low half up, or its high half down.
 */
bool xl_rdtsc(struct tu *u, const struct tinsn *t)
{
	struct emit *e = &u->e;

	if (!(u->mode & MODE_TSC_OK))
		return false;
	emit_u16(e, 0x310f);
	emit_mov32(e, H_R8, H_RDX);
	bswap_r8(e, false);
	bswap_r8(e, true);
	emit_mov32(e, H_R9, H_RAX);
	emit_lea64(e, H_R8, (struct xmem){H_R8, H_R9, 1, false, 0});
	emit_load64(e, H_R9, cpu_mem(CPU_TSC_OFFSET));
	emit_lea64(e, H_R8, (struct xmem){H_R8, H_R9, 1, false, 0});
	emit_mov32(e, H_RAX, H_R8);
	bswap_r8(e, true);
	bswap_r8(e, false);
	emit_mov32(e, H_RDX, H_R8);
	return true;
}

/* ---------------------------------- by the lean path ---------------------------------- */

/* The word that says what to do goes in R11; else as xl_interpret. */
size_t xl_lean_call(struct tu *u, const struct tinsn *t, uint32_t word)
{
	emit_imm32(&u->e, H_R11, word);
	return xl_callout(u, t->eip, t->next, TCX_STUB_SYSTEM);
}

bool xl_lean(struct tu *u, const struct tinsn *t, uint32_t word)
{
	size_t back = xl_lean_call(u, t, word);

	emit_patch32(&u->e, back, u->e.len);
	return true;
}

bool xl_iret(struct tu *u, const struct tinsn *t)
{
	if (!xl_stack_flat(u) || !xl_lean(u, t, LEAN_WORD(LEAN_IRET, 0, 0)))
		return false;
	xl_leave_tc(u, t->next);
	return true;
}

bool xl_int(struct tu *u, const struct tinsn *t)
{
	xl_lean(u, t, LEAN_WORD(LEAN_INT, t->z.raw.imm[0].value.u & 0xff, 0));
	xl_leave_tc(u, t->next);
	return true;
}

bool xl_sysenter(struct tu *u, const struct tinsn *t)
{
	xl_lean(u, t, LEAN_WORD(LEAN_SYSENTER, 0, 0));
	xl_leave_tc(u, t->next);
	return true;
}

bool xl_sysexit(struct tu *u, const struct tinsn *t)
{
	xl_lean(u, t, LEAN_WORD(LEAN_SYSEXIT, 0, 0));
	xl_leave_tc(u, t->next);
	return true;
}

/* ---------------------------------- control registers, FPU state, ports ---------------------------------- */

bool xl_address_to_tmp(struct tu *u, const struct tinsn *t)
{
	struct xmem m = t->mem;

	if (!t->has_mem || (!xl_segment_flat(u, t->seg) && !xl_add_base(u, t->seg, &m)))
		return false;
	emit_lea32(&u->e, H_R10, m);
	emit_store32(&u->e, tcx_mem(TCX_TMP), H_R10);
	return true;
}

/* MOV from and to CRn; the general register is in r/m whatever mod says. DRn are interpreted. */
bool xl_mov_control(struct tu *u, const struct tinsn *t)
{
	static const uint16_t field[] = {[0] = CPU_CR0, [2] = CPU_CR2, [3] = CPU_CR3, [4] = CPU_CR4};
	unsigned cr = t->z.raw.modrm.reg, reg = t->z.raw.modrm.rm;

	if (!(u->mode & MODE_CPL0) || cr >= ARRAY_LEN(field) || !field[cr] || (t->z.attributes & ZYDIS_ATTRIB_HAS_LOCK))
		return false;
	if (t->z.opcode == 0x22)
		return xl_lean(u, t, LEAN_WORD(LEAN_WRITE_CR, cr, reg));
	if (t->z.opcode != 0x20)
		return false;
	emit_load32(&u->e, reg, cpu_mem(field[cr]));
	return true;
}

/* With TS clear, which the mode may say, there is nothing to do. */
bool xl_clts(struct tu *u, const struct tinsn *t)
{
	if (!(u->mode & MODE_CPL0))
		return false;
	return (u->mode & MODE_FPU) || xl_lean(u, t, LEAN_WORD(LEAN_CLTS, 0, 0));
}

bool xl_invlpg(struct tu *u, const struct tinsn *t)
{
	return (u->mode & MODE_CPL0) && xl_address_to_tmp(u, t) && xl_lean(u, t, LEAN_WORD(LEAN_INVLPG, 0, 0));
}

bool xl_fxstate(struct tu *u, const struct tinsn *t)
{
	enum lean_op op = t->z.mnemonic == ZYDIS_MNEMONIC_FXSAVE ? LEAN_FXSAVE : LEAN_FXRSTOR;

	if (!(u->mode & MODE_FPU) || !classify_isa_allowed(u->tc->cpu->model, &t->z))
		return false;
	return xl_address_to_tmp(u, t) && xl_lean(u, t, LEAN_WORD(op, 0, 0));
}

/* E4-E7: port in the instruction; EC-EF: in DX. Bit 1 is the direction. */
bool xl_port(struct tu *u, const struct tinsn *t)
{
	enum lean_op op = t->z.opcode & 2 ? LEAN_OUT : LEAN_IN;
	unsigned size = !(t->z.opcode & 1) ? 1 : tinsn_op16(t) ? 2 : 4;
	unsigned dx = t->z.opcode & 8;

	if (!(u->mode & MODE_CLI_OK))
		return false;
	return xl_lean(u, t, LEAN_WORD(op, dx ? 0 : t->z.raw.imm[0].value.u & 0xff, size | dx));
}

