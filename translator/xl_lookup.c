/*
 * The look-up form: memory reached through the software TLB (mmu/softtlb.c) instead of a window. A miss is a call, not a signal; nothing is
 * mapped. For kernel instructions found touching user pages, and for user code of address spaces too young to
 * be worth a window.
 *
 *   lea   r8d, [EA]
 *   shrx  r10d, r8d, r12d       r12 = 12
 *   movzx r10d, r10b            index
 *   lea   r10d, [r10+r10]
 *   mov   r9, rcx
 *   mov   r11, [r14 + tlb]
 *   lea   r10, [r11 + r10*8]    entry
 *   lea   r11d, [r8 + size-1]
 *   shrx  r11d, r11d, r12d      page of the last byte: an access that crosses pages misses
 *   mov   ecx, [r10 + 4]        minus the entry's page
 *   lea   ecx, [rcx + r11]
 *   jrcxz hit
 *   mov   rcx, r9
 *   (interpret the instruction, go on behind it)
 * hit:
 *   mov   rcx, r9
 *   mov   r10, [r10 + 8]        host address - guest address
 *   op    [r10 + r8]
 *
 * No flag is touched, and nothing is changed before the miss is known.
 */
#include "translator/tu.h"

#include <cpuid.h>

bool xl_lookup_possible(void)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 8 & 1); /* BMI2: SHRX */
}

/* shrx dst, src, r12d (VEX.LZ.F2.0F38.W0 F7 /r); dst and src are r8-r15 */
static void shrx12(struct emit *e, unsigned dst, unsigned src)
{
	emit_u8(e, 0xc4);
	emit_u8(e, 0x42); /* R and B inverted: both registers extended; map 0F38 */
	emit_u8(e, 0x1b); /* W0, vvvv = ~r12, L0, F2 */
	emit_u8(e, 0xf7);
	emit_u8(e, (uint8_t)(0xc0 | (dst & 7) << 3 | (src & 7)));
}

static void probe(struct tu *u, unsigned size, bool write)
{
	struct emit *e = &u->e;

	shrx12(e, H_R10, H_R8);
	emit_u32(e, 0xd2b60f45); /* movzx r10d, r10b */
	emit_lea32(e, H_R10, (struct xmem){H_R10, H_R10, 1, false, 0});
	emit_mov64(e, H_R9, H_RCX);
	emit_load64(e, H_R11, tcx_mem(write ? TCX_TLB_WRITE : TCX_TLB_READ));
	emit_lea64(e, H_R10, (struct xmem){H_R11, H_R10, 8, false, 0});
	emit_lea32(e, H_R11, (struct xmem){H_R8, H_NONE, 1, false, (int32_t)size - 1});
	shrx12(e, H_R11, H_R11);
	emit_load32(e, H_RCX, (struct xmem){H_R10, H_NONE, 1, false, 4});
	emit_lea32(e, H_RCX, (struct xmem){H_RCX, H_R11, 1, false, 0});
}

bool xl_lookup_at(struct tu *u, const struct tinsn *t, struct xmem guest, unsigned size, bool write,
		  struct xmem *m)
{
	struct emit *e = &u->e;
	size_t hit;

	if (u->miss)
		return false;
	emit_lea32(e, H_R8, guest);
	probe(u, size, write);
	hit = emit_jrcxz(e);
	emit_mov64(e, H_RCX, H_R9);
	u->miss = xl_interpret(u, t);
	emit_patch8(e, hit, e->len);
	emit_mov64(e, H_RCX, H_R9);
	emit_load64(e, H_R10, (struct xmem){H_R10, H_NONE, 1, false, 8});
	*m = (struct xmem){H_R10, H_R8, 1, false, 0};
	return true;
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
