/*
 * Loads of DS, ES, FS and GS. The lean path does them (lean_system.c), but entering and leaving a kernel is full of loads that change
 * nothing: DS and ES get what they hold already. So ring 0 first looks whether the selector is the one that the register
 * was loaded with, and whether the descriptor is still what it was then (struct tcx_loaded):
 *
 *   mov   r9, rcx
 *   mov   ecx, [r14 + not_sel]
 *   lea   ecx, [rcx + r10 + 1]        R10: the selector
 *   jrcxz known
 *   mov   rcx, r9
 *   jmp   load
 * known:
 *   mov   rcx, r9
 *   mov   r8d, [r14 + at]
 *   mov   r10d, gs:[r8d]
 *   mov   r11d, gs:[r8d + 4]
 *   mov   r8d, [r14 + minus_lo]
 *   lea   r10d, [r10 + r8]            zero if it is the same
 *   mov   r8d, [r14 + minus_hi]
 *   lea   r11d, [r11 + r8]
 *   mov   r9, rcx
 *   lea   rcx, [r10 + r11*8]          64 bits: zero only if both are
 *   jrcxz same
 *   mov   rcx, r9
 *   jmp   load
 * same:
 *   mov   rcx, r9
 *   jmp   done
 * load:
 *   (the lean path)
 * done:
 *
 * Ring 0 may load whatever was loaded before with the same requested privilege. A fault at the descriptor is the
 * instruction's, which then is interpreted.
 */
#include "translator/lean.h"
#include "translator/tu.h"

static bool data_segment(unsigned seg)
{
	return seg == S_ES || seg == S_DS || seg == S_FS || seg == S_GS;
}

static struct xmem loaded(unsigned seg, unsigned field)
{
	return tcx_mem((int32_t)(TCX_LOADED + seg * TCX_LOADED_SIZE + field));
}

/* Is the selector in R10 that of the last load? Returns where "yes" goes on; RCX is borrowed until then. */
static size_t same_selector(struct tu *u, unsigned seg)
{
	emit_mov64(&u->e, H_R9, H_RCX);
	emit_load32(&u->e, H_RCX, loaded(seg, 0));
	emit_lea32(&u->e, H_RCX, (struct xmem){H_RCX, H_R10, 1, false, 1});
	return emit_jrcxz(&u->e);
}

static size_t same_descriptor(struct tu *u, unsigned seg)
{
	struct emit *e = &u->e;

	emit_load32(e, H_R8, loaded(seg, TCX_LOADED_AT));
	emit_load32(e, H_R10, guest_mem(H_R8, 0));
	emit_load32(e, H_R11, guest_mem(H_R8, 4));
	emit_load32(e, H_R8, loaded(seg, TCX_LOADED_LO));
	emit_lea32(e, H_R10, (struct xmem){H_R10, H_R8, 1, false, 0});
	emit_load32(e, H_R8, loaded(seg, TCX_LOADED_HI));
	emit_lea32(e, H_R11, (struct xmem){H_R11, H_R8, 1, false, 0});
	emit_mov64(e, H_R9, H_RCX);
	emit_lea64(e, H_RCX, (struct xmem){H_R10, H_R11, 8, false, 0});
	return emit_jrcxz(e);
}

/* Behind a JRCXZ: give ECX back and jump; where the JRCXZ leads, give it back and go on. Returns where the jump is. */
static size_t no(struct tu *u, size_t yes)
{
	size_t jump;

	emit_mov64(&u->e, H_RCX, H_R9);
	jump = emit_jmp32(&u->e);
	emit_patch8(&u->e, yes, u->e.len);
	emit_mov64(&u->e, H_RCX, H_R9);
	return jump;
}

/* The selector is in R10; `word` loads it by the lean path, `pop` bytes leave the stack. */
static void load_unless_same(struct tu *u, const struct tinsn *t, uint32_t word, int32_t pop)
{
	struct emit *e = &u->e;
	size_t yes = same_selector(u, LEAN_SEG(word)), load[2], done, back;

	load[0] = no(u, yes);
	yes = same_descriptor(u, LEAN_SEG(word));
	load[1] = no(u, yes);
	if (pop)
		emit_lea32(e, H_RSP, guest_mem(H_RSP, pop));
	done = emit_jmp32(e);
	emit_patch32(e, load[0], e->len);
	emit_patch32(e, load[1], e->len);
	back = xl_lean_call(u, t, word);
	emit_patch32(e, back, e->len);
	emit_patch32(e, done, e->len);
}

static bool may_look(const struct tu *u, const struct tinsn *t)
{
	return (u->mode & MODE_CPL0) && t->form == FORM_WINDOW;
}

/* A selector in memory is loaded here, where the window is, and handed over in the vCPU block. */
static bool load_from_memory(struct tu *u, const struct tinsn *t)
{
	struct xmem m;

	if (t->form == FORM_LOOKUP || !xl_mem(u, t, &m))
		return false;
	emit_load16zx(&u->e, H_R10, m);
	emit_store32(&u->e, tcx_mem(TCX_TMP), H_R10);
	return xl_lean(u, t, LEAN_WORD(LEAN_LOAD_SEG, t->z.raw.modrm.reg, 0));
}

bool xl_mov_to_segment(struct tu *u, const struct tinsn *t)
{
	uint32_t word = LEAN_WORD(LEAN_MOV_SEG, t->z.raw.modrm.reg, t->z.raw.modrm.rm);

	if (!data_segment(t->z.raw.modrm.reg))
		return false;
	if (t->has_mem)
		return load_from_memory(u, t);
	if (!may_look(u, t))
		return xl_lean(u, t, word);
	emit_rr(&u->e, 0xb7 | X_0F, H_R10, t->z.raw.modrm.rm); /* movzx r10d, r16 */
	load_unless_same(u, t, word, 0);
	return true;
}

bool xl_pop_segment(struct tu *u, const struct tinsn *t)
{
	unsigned seg = t->z.opcode >> 3; /* 07 ES, 17 SS, 1F DS */

	if (t->z.opcode_map == ZYDIS_OPCODE_MAP_0F)
		seg = t->z.opcode < 0xa8 ? S_FS : S_GS;
	if (tinsn_op16(t) || !data_segment(seg))
		return false;
	if (!may_look(u, t))
		return xl_lean(u, t, LEAN_WORD(LEAN_POP_SEG, seg, 0));
	emit_load16zx(&u->e, H_R10, guest_mem(H_RSP, 0));
	load_unless_same(u, t, LEAN_WORD(LEAN_POP_SEG, seg, 0), 4);
	return true;
}
