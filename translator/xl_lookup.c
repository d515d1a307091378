/*
 * The look-up form: memory reached through the software TLB (mmu/softtlb.c) instead of a window. A miss is a call, not a signal; nothing is
 * mapped. For kernel instructions found touching user pages, and for user code of address spaces too young to
 * be worth a window.
 *
 *   lea   r8d, [EA]
 *   shrx  r11d, r8d, r12d       the low five bits of R12 are 12
 *   movzx r10d, r11w            index
 *   lea   r11d, [r8 + size-1]   an access that crosses pages must miss: compare the page of its last byte
 *   shrx  r11d, r11d, r12d
 *   mov   r9, rcx
 *   mov   ecx, [r12 + r10*4 + minus_page]
 *   lea   ecx, [rcx + r11]
 *   jrcxz hit
 *   mov   rcx, r9
 *   jmp   miss                  behind the unit's exits
 * hit:
 *   mov   rcx, r9
 *   mov   r10, [r12 + r10*8 + delta]
 *   op    [r10 + r8]
 *
 *   miss:
 *   mov   r11d, EIP
 *   lea   r9, [the instruction's beginning]
 *   mov   r10d, kind and size of the access
 *   jmp   [r14 + refill]
 *
 * No flag is touched, and nothing of the guest's is changed before the last look-up of an instruction has hit: what missed begins
 * again when the page is there, and is interpreted when it cannot be (lean_refill, callout_refill).
 */
#include "translator/lean.h"
#include "translator/tu.h"

#include <cpuid.h>
#include <stddef.h>

bool xl_lookup_possible(void)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 8 & 1); /* BMI2: SHRX */
}

/* shrx r11d, src, r12d (VEX.LZ.F2.0F38.W0 F7 /r); src is r8-r15 */
static void page_of(struct emit *e, unsigned src)
{
	emit_u8(e, 0xc4);
	emit_u8(e, 0x42); /* R and B inverted: both registers extended; map 0F38 */
	emit_u8(e, 0x1b); /* W0, vvvv = ~r12, L0, F2 */
	emit_u8(e, 0xf7);
	emit_u8(e, (uint8_t)(0xc0 | (H_R11 & 7) << 3 | (src & 7)));
}

static struct xmem tlb_mem(unsigned scale, size_t field)
{
	return (struct xmem){H_R12, H_R10, (uint8_t)scale, false, (int32_t)field - TLB_BIAS};
}

static void probe(struct tu *u, unsigned size, bool write)
{
	struct emit *e = &u->e;

	page_of(e, H_R8);
	emit_rr(e, 0xb7 | X_0F, H_R10, H_R11); /* movzx r10d, r11w */
	if (size > 1) {
		emit_lea32(e, H_R11, (struct xmem){H_R8, H_NONE, 1, false, (int32_t)size - 1});
		page_of(e, H_R11);
	}
	emit_mov64(e, H_R9, H_RCX);
	emit_load32(e, H_RCX, tlb_mem(4, offsetof(struct softtlb, minus_page[write])));
	emit_lea32(e, H_RCX, (struct xmem){H_RCX, H_R11, 1, false, 0});
}

/*
 * An instruction may look up one page to read and one to write. Two of one kind could drive each other out of their
 * slot for ever.
 */
static bool one_more(struct tu *u, bool write)
{
	unsigned kind = 1u << write;

	if (u->looked & kind)
		return false;
	u->looked |= kind;
	return true;
}

bool xl_lookup_at(struct tu *u, const struct tinsn *t, struct xmem guest, unsigned size, bool write,
		  struct xmem *m)
{
	struct emit *e = &u->e;
	size_t hit;

	if (!one_more(u, write))
		return false;
	emit_lea32(e, H_R8, guest);
	probe(u, size, write);
	hit = emit_jrcxz(e);
	emit_mov64(e, H_RCX, H_R9);
	u->miss[u->misses++] = (struct tu_miss){emit_jmp32(e), u->start, t->eip, LEAN_ACCESS(size, write)};
	emit_patch8(e, hit, e->len);
	emit_mov64(e, H_RCX, H_R9);
	emit_load64(e, H_R10, tlb_mem(8, offsetof(struct softtlb, delta[write])));
	*m = (struct xmem){H_R10, H_R8, 1, false, 0};
	return true;
}

void xl_miss_stubs(struct tu *u)
{
	struct emit *e = &u->e;

	for (const struct tu_miss *m = u->miss; m < u->miss + u->misses; m++) {
		emit_patch32(e, m->jump, e->len);
		emit_imm32(e, H_R11, m->eip);
		move_mark(u, MOVE_ADD);
		emit_patch32(e, emit_lea_rip(e, H_R9), m->start);
		emit_imm32(e, H_R10, m->access);
		emit_jmp_mem(e, tcx_mem(TCX_STUB_REFILL));
	}
}

void xl_put_aside(struct tu *u, unsigned reg)
{
	emit_store32(&u->e, tcx_mem(TCX_TMP), reg);
}

void xl_take_back(struct tu *u, unsigned reg)
{
	emit_load32(&u->e, reg, tcx_mem(TCX_TMP));
}

bool xl_lookup(struct tu *u, const struct tinsn *t, struct xmem *m)
{
	struct xmem guest = t->mem;
	unsigned size;
	bool write;

	if (!decode_access(t, &size, &write))
		return false;
	if (!xl_segment_flat(u, t->seg) && !xl_add_base(u, t->seg, &guest))
		return false;
	return xl_lookup_at(u, t, guest, size, write, m);
}
