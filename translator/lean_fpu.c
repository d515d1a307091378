/*
 * FXSAVE and FXRSTOR, which kernels execute at each context switch. The state they move is in the host's registers already, so the
 * host's own instruction does it; by way of struct cpu, because the host's image differs from a 32-bit guest's
 * (XMM8-15, code addresses, reserved fields: cpu/fpuenv.c is the reference).
 */
#include "cpu/fpu.h"
#include "translator/lean.h"

#include <string.h>

enum { IMAGE = 288, /* what a 32-bit FXSAVE writes of its 512 bytes */ AREA = 512 };
enum { FSW_SUMMARY = FSW_ES | FSW_B };

/*
 * The x87 instruction pointer of code that ran in the TC is a host address. The guest gets what its own processor would have
 * noted; a data pointer is right when it was made through a window, and withheld otherwise.
 */
void guest_x87_pointers(struct tc *tc)
{
	struct cpu *c = tc->cpu;
	uint32_t off = c->fx.fip - (uint32_t)(uintptr_t)tc->rx, eip = 0, host_off;
	ccf_id id = off < tc->size ? tc->granule[off / CCF_ALIGN] : 0;
	unsigned index;

	if (off >= tc->size)
		return;
	if (id && !ccf_locate(tc, id, (uintptr_t)tc->rx + off, &eip, &host_off, &index))
		eip = 0;
	c->fx.fip = eip;
	c->fx.fcs = eip ? c->seg[S_CS].sel : 0;
	if (!eip || (ccf_of(tc, id)->mode & MODE_LOOKUP))
		c->fx.fdp = 0;
	c->fx.fds = c->fx.fdp ? c->seg[S_DS].sel : 0;
}

/* An area in host memory: in two parts when it spans two pages. */
struct area {
	uint8_t *part[2];
	unsigned len[2];
};

static bool reach(const struct tc *tc, uint32_t at, bool write, struct area *a)
{
	bool user = tc->cpu->cpl == 3;
	unsigned room = PAGE_SIZE - (at & PAGE_MASK);

	if (at & 15)
		return false;
	a->len[0] = room < AREA ? room : AREA;
	a->len[1] = AREA - a->len[0];
	a->part[0] = lean_at(tc, user, at, a->len[0], write);
	a->part[1] = a->len[1] ? lean_at(tc, user, at + a->len[0], a->len[1], write) : NULL;
	return a->part[0] && (a->part[1] || !a->len[1]);
}

/*
 * Parts are multiples of 16 bytes; memcpy would be a library's. By way of a vector register that 32-bit guests do not have: what FXSAVE
 * has just stored, and FXRSTOR will load, comes in pieces of 16 bytes and is forwarded as such.
 */
static void copy(void *to, const void *from, unsigned len)
{
	const uint8_t *in = from;
	uint8_t *out = to;

	for (unsigned i = 0; i < len; i += 16)
		__asm__ volatile("movups %1, %%xmm8\n\tmovups %%xmm8, %0"
				 : "=m"(*(uint8_t(*)[16])(out + i))
				 : "m"(*(const uint8_t(*)[16])(in + i)));
}

/* How much of the image lies in the first part. */
static unsigned first_part(const struct area *a)
{
	return a->len[0] < IMAGE ? a->len[0] : IMAGE;
}

uint64_t lean_fxsave(struct tc *tc, unsigned op)
{
	struct cpu_fx *fx = &tc->cpu->fx;
	struct area a;
	unsigned n;

	if (!reach(tc, (uint32_t)tc->x.tmp, true, &a))
		return LEAN_NO;
	__asm__ volatile("fxsave %0" : "=m"(*fx));
	guest_x87_pointers(tc);
	fx->rsvd0 = 0;
	fx->rsvd1 = fx->rsvd2 = 0;
	fx->mxcsr_mask = MXCSR_MASK;
	n = first_part(&a);
	copy(a.part[0], fx, n);
	if (n < IMAGE)
		copy(a.part[1], (const uint8_t *)fx + n, IMAGE - n);
	return lean_same(tc);
}

/*
 * The image's first 32 bytes. What has to do with FERR# (x87 exceptions pending then or now) and #GP is the interpreter's.
 */
static bool plain_image(const struct cpu_fx *image)
{
	uint16_t fsw;

	__asm__ volatile("fnstsw %0" : "=a"(fsw));
	return !(fsw & FSW_SUMMARY) && !(image->fsw & ~image->fcw & FPU_EXCEPTIONS) &&
	       !(image->mxcsr & ~(uint32_t)MXCSR_MASK);
}

/* Only what has to be stored is: FXRSTOR, in pieces of 16 bytes, would wait for smaller ones. */
static void clean(struct cpu_fx *fx)
{
	uint16_t fcw = (fx->fcw & 0x1f3f) | 0x40;

	if (fx->fcw == fcw && !(fx->fsw & FSW_SUMMARY) && fx->fop <= 0x7ff)
		return;
	fx->fcw = fcw;
	fx->fsw &= (uint16_t)~FSW_SUMMARY;
	fx->fop &= 0x7ff;
}

/* struct cpu's copy is out of date while the state is in the registers, so the image may be put together there. */
uint64_t lean_fxrstor(struct tc *tc, unsigned op)
{
	struct cpu_fx *fx = &tc->cpu->fx;
	struct area a;
	unsigned n;

	if (!reach(tc, (uint32_t)tc->x.tmp, false, &a))
		return LEAN_NO;
	n = first_part(&a);
	copy(fx, a.part[0], n);
	if (n < IMAGE)
		copy((uint8_t *)fx + n, a.part[1], IMAGE - n);
	if (!plain_image(fx))
		return LEAN_NO;
	clean(fx);
	__asm__ volatile("fxrstor %0" : : "m"(*fx));
	return lean_same(tc);
}
