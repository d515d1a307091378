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

/* Parts are multiples of 16 bytes; memcpy would be a library's. */
static void copy(void *to, const void *from, unsigned len)
{
	uint64_t words = len / 8;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
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
	n = smaller(a.len[0], IMAGE);
	copy(a.part[0], fx, n);
	copy(a.part[1], (const uint8_t *)fx + n, IMAGE - n);
	return lean_next(tc);
}

/* Would an x87 exception be pending in this state? */
static bool pending(uint16_t fcw, uint16_t fsw)
{
	return fsw & ~fcw & FPU_EXCEPTIONS;
}

uint64_t lean_fxrstor(struct tc *tc, unsigned op)
{
	struct cpu_fx *fx = &tc->cpu->fx;
	struct cpu_fx image;
	struct area a;
	uint16_t fsw;
	unsigned n;

	if (!reach(tc, (uint32_t)tc->x.tmp, false, &a))
		return LEAN_NO;
	n = smaller(a.len[0], IMAGE);
	copy(&image, a.part[0], n);
	copy((uint8_t *)&image + n, a.part[1], IMAGE - n);
	image.fcw = (image.fcw & 0x1f3f) | 0x40;
	__asm__ volatile("fnstsw %0" : "=a"(fsw));
	/* what has to do with FERR#, and #GP, is the interpreter's */
	if ((image.mxcsr & ~(uint32_t)MXCSR_MASK) || pending(image.fcw, image.fsw) || (fsw & FSW_SUMMARY))
		return LEAN_NO;
	image.fsw &= (uint16_t)~FSW_SUMMARY;
	image.fop &= 0x7ff;
	image.mxcsr_mask = fx->mxcsr_mask;
	for (unsigned i = 0; i < 8; i++) { /* the reserved bytes beside each register */
		uint64_t high;

		memcpy(&high, &image.st[i][8], 8);
		high &= 0xffff;
		memcpy(&image.st[i][8], &high, 8);
	}
	copy(fx, &image, IMAGE);
	__asm__ volatile("fxrstor %0" : : "m"(*fx));
	return lean_next(tc);
}
