/*
 * ESP moves late. A function begins with a row of PUSHes and ends with a row of POPs, and each would move ESP by an LEA of its own
 * (xl_stack.c). Instead the unit keeps in mind by how much ESP has PENDING moves, stack operands take that into account, and one LEA settles
 * it before anything comes that needs the real ESP:
 *
 *   push ebp       mov gs:[esp-4], ebp
 *   push edi       mov gs:[esp-8], edi
 *   mov  eax, [esp+20]   mov eax, gs:[esp+12]
 *   push eax       mov gs:[esp-12], eax
 *                  lea esp, [esp-12]
 *   sub  esp, 28   sub esp, 28
 *
 * What may come in between leaves the TC in one way only, by a host fault, and then ESP is put right: each instruction's pending moves
 * are in the CCF's map (fault.c).
 */
#include "translator/tu.h"

static bool plain_map(const ZydisDecodedInstruction *z)
{
	return z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
}

/* Is ESP an operand of this instruction, other than as the base of its memory operand? Says yes too often: AH, XMM4, odd opcodes. */
static bool names_esp(const ZydisDecodedInstruction *z)
{
	if (!(z->attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return (z->opcode & 7) == H_RSP;
	return z->raw.modrm.reg == H_RSP || (z->raw.modrm.mod == 3 && z->raw.modrm.rm == H_RSP);
}

/* MOV from ESP: most functions that have a frame pointer. */
static bool copies_esp(const struct tinsn *t)
{
	const ZydisDecodedInstruction *z = &t->z;

	return plain_map(z) && !t->has_mem && !tinsn_op16(t) &&
	       ((z->opcode == 0x89 && z->raw.modrm.reg == H_RSP && z->raw.modrm.rm != H_RSP) ||
		(z->opcode == 0x8b && z->raw.modrm.rm == H_RSP && z->raw.modrm.reg != H_RSP));
}

bool esp_copy(struct tu *u, const struct tinsn *t)
{
	if (!u->pending || t->action != ACT_MOV || !copies_esp(t))
		return false;
	emit_lea32(&u->e, t->z.opcode == 0x89 ? t->z.raw.modrm.rm : t->z.raw.modrm.reg, guest_mem(H_RSP, u->pending));
	return true;
}

static bool pushes(const struct tinsn *t)
{
	uint8_t op = t->z.opcode;

	if (tinsn_op16(t) || !plain_map(&t->z) || op < 0x40)
		return false;
	return op == 0x68 || op == 0x6a || t->has_mem || (op == 0xff ? t->z.raw.modrm.rm : op & 7) != H_RSP;
}

static bool pops(const struct tinsn *t)
{
	uint8_t op = t->z.opcode;

	return !tinsn_op16(t) && plain_map(&t->z) && !t->has_mem && op >= 0x40 && op != 0x8f && (op & 7) != H_RSP;
}

static bool near_and_wide(const struct tinsn *t)
{
	return !tinsn_op16(t) && t->z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
}

/* Can the instruction be translated as long as moves are pending? */
static bool waits(const struct tu *u, const struct tinsn *t)
{
	enum { MOST = 7 * 4 }; /* what ccf_insn.words can say, less one PUSH or POP */
	uint8_t op = t->z.opcode;

	if (t->varies || t->form != FORM_WINDOW || u->pending > MOST - 4 || u->pending < -MOST || u->pending % 4)
		return false;
	switch (t->action) {
	case ACT_NOP:
		return true;
	case ACT_IDENT:
	case ACT_LEA:
		return !names_esp(&t->z);
	case ACT_MOV:
		return plain_map(&t->z) && op != 0x8c && op != 0x8e && (!names_esp(&t->z) || copies_esp(t));
	case ACT_PUSH:
		return pushes(t);
	case ACT_POP:
		return pops(t);
	case ACT_CALL:
		return near_and_wide(t) && (op == 0xe8 || t->has_mem || t->z.raw.modrm.rm != H_RSP);
	case ACT_RET:
		return near_and_wide(t);
	default:
		return false;
	}
}

void esp_settle(struct tu *u)
{
	if (u->pending)
		emit_lea32(&u->e, H_RSP, guest_mem(H_RSP, u->pending));
	u->pending = 0;
}

/* What has looked up may have been interpreted instead, with the real ESP, and the unit goes on behind it (callout_refill). */
void esp_before_next(struct tu *u)
{
	const struct tinsn *t = &u->insn[u->done];

	if (u->pending && (t->form != FORM_WINDOW || u->done + 1 >= u->n || !waits(u, t + 1)))
		esp_settle(u);
}
