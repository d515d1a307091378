/*
 * String instructions: results, direction, sizes, REP counts, 16-bit addresses, segment overrides,
 * and above all faults in the middle: ECX, ESI and EDI must say exactly how far it came, and the
 * instruction must go on from there. SDM: REP in the instruction reference.
 */
#include "lib/guest.h"

/* Two mapped pages, then an absent one: [LOW, EDGE) is there, EDGE on is not. */
enum { LOW = TEST_VA + 0x1000, EDGE = TEST_VA + 0x3000, RW = PTE_P | PTE_W | PTE_U };

static u8 source[512], target[512];

static void fill(void)
{
	for (u32 i = 0; i < sizeof(source); i++) {
		source[i] = i * 7 + 3;
		target[i] = 0;
	}
}

static struct context with(u32 code, u32 esi, u32 edi, u32 ecx)
{
	struct context c = kernel_context(code);

	c.esi = esi;
	c.edi = edi;
	c.ecx = ecx;
	return c;
}

static void expect_regs(const struct context *c, const char *name, u32 esi, u32 edi, u32 ecx)
{
	if (!report(c->esi == esi && c->edi == edi && c->ecx == ecx, name)) {
		check_eq(c->esi, esi, "  ESI");
		check_eq(c->edi, edi, "  EDI");
		check_eq(c->ecx, ecx, "  ECX");
	}
}

static void plain(void)
{
	struct context c;

	fill();
	c = with(CODE("rep movsl"), (u32)source, (u32)target, 40);
	run(&c);
	expect_regs(&c, "rep movsl moves its registers", (u32)source + 160, (u32)target + 160, 0);
	report(!memcmp(source, target, 160) && !target[160], "rep movsl copies so much");
	c = with(CODE("rep movsb"), 1, 2, 0);
	run(&c);
	expect_regs(&c, "rep with ECX = 0 does nothing", 1, 2, 0);
	c = with(CODE("std\nrep movsb\ncld"), (u32)source + 9, (u32)target + 309, 10);
	run(&c);
	expect_regs(&c, "backwards", (u32)source - 1, (u32)target + 299, 0);
	report(!memcmp(source, target + 300, 10), "backwards copies the same bytes");
	c = with(CODE("rep stosw"), 0, (u32)target, 5);
	c.eax = 0x1234;
	run(&c);
	report(*(u16 *)(target + 8) == 0x1234 && c.edi == (u32)target + 10, "rep stosw");
	c = with(CODE("rep lodsb"), (u32)source, 0, 5);
	run(&c);
	check_eq(c.eax & 0xff, source[4], "rep lodsb leaves the last byte");
	c = with(CODE("lodsl"), (u32)source, 0, 5);
	run(&c);
	report(c.eax == *(u32 *)source && c.esi == (u32)source + 4 && c.ecx == 5,
	       "lodsl without rep");
	/* Overlap: the byte-by-byte order makes a pattern of it. */
	fill();
	source[0] = 0xab;
	c = with(CODE("rep movsb"), (u32)source, (u32)source + 1, 100);
	run(&c);
	report(source[1] == 0xab && source[100] == 0xab && source[101] != 0xab,
	       "overlap by one smears forward");
	fill();
	source[4] = 0x55;
	c = with(CODE("rep movsl"), (u32)source, (u32)source + 4, 20);
	run(&c);
	report(*(u32 *)(source + 80) == *(u32 *)source, "overlap by one dword smears dwords");
	fill();
	*(u32 *)source = 0x44332211;
	c = with(CODE("rep movsl"), (u32)source, (u32)source + 1, 3);
	run(&c);
	report(source[1] == 0x11 && source[4] == 0x44 && source[5] == 0x44,
	       "overlap by one byte with dwords");
}

static void compares(void)
{
	struct context c;

	fill();
	memcpy(target, source, 100);
	target[37] ^= 0x80;
	c = with(CODE("repe cmpsb"), (u32)source, (u32)target, 100);
	run(&c);
	expect_regs(&c, "repe cmpsb stops after the difference", (u32)source + 38, (u32)target + 38,
		    62);
	report(!(c.eflags & ZF_), "and ZF is clear");
	c = with(CODE("repe cmpsb"), (u32)source, (u32)target, 37);
	run(&c);
	report(c.ecx == 0 && (c.eflags & ZF_), "repe cmpsb of equal strings");
	c = with(CODE("repne scasb"), 0, (u32)source, 100);
	c.eax = source[20];
	run(&c);
	report(c.edi == (u32)source + 21 && c.ecx == 79 && (c.eflags & ZF_), "repne scasb finds");
	c = with(CODE("cmpl %eax,%eax\nrepe cmpsl"), 0, 0, 0);
	run(&c);
	report(c.eflags & ZF_, "repe cmpsl with ECX = 0 leaves the flags");
	c = with(CODE("std\nrepne scasw\ncld"), 0, (u32)source + 100, 30);
	c.eax = *(u16 *)(source + 80);
	run(&c);
	report(c.edi == (u32)source + 78 && c.ecx == 19, "repne scasw backwards");
	c = with(CODE("cmpsb"), (u32) "a", (u32) "b", 3);
	run(&c);
	report((c.eflags & (CF_ | SF_ | ZF_)) == (CF_ | SF_) && c.ecx == 3,
	       "cmpsb is [ESI] - [EDI]");
}

/* Runs into the absent page, checks the registers, maps the page, goes on. */
static void interrupted(const char *name, u32 code, u32 esi, u32 edi, u32 ecx, u32 step, bool write)
{
	struct context c = with(code, esi, edi, ecx);
	u32 room = EDGE - (write ? edi : esi), done = room / step;

	map(3, (u32)frames[2], 0);
	c.eax = 0x5a5a5a5a;
	run(&c);
	if (!expect(&c, name, PF, write ? PFE_W : 0, 0))
		return;
	check_eq(c.cr2, EDGE, "  CR2");
	expect_regs(&c, "  progress at the fault", esi ? esi + done * step : 0,
		    edi ? edi + done * step : 0, ecx - done);
	map(3, (u32)frames[2], RW);
	run(&c);
	c.start = code;
	report(c.vector == DONE && c.ecx == 0, "  goes on to the end");
	expect_regs(&c, "  registers at the end", esi ? esi + ecx * step : 0,
		    edi ? edi + ecx * step : 0, 0);
}

static void faults(void)
{
	struct context c;

	paging_enable();
	map(1, (u32)frames[0], RW);
	map(2, (u32)frames[1], RW);
	fill();
	interrupted("rep movsb into an absent page", CODE("rep movsb"), (u32)source, EDGE - 100,
		    200, 1, true);
	report(!memcmp((void *)(EDGE - 100), source, 200), "  all was copied once");
	interrupted("rep movsl into an absent page", CODE("rep movsl"), (u32)source, EDGE - 100, 50,
		    4, true);
	interrupted("rep movsl out of an absent page", CODE("rep movsl"), EDGE - 64, (u32)target,
		    50, 4, false);
	report(!memcmp((void *)(EDGE - 64), target, 200), "  all was copied once");
	interrupted("rep stosl into an absent page", CODE("rep stosl"), 0, EDGE - 64, 50, 4, true);
	interrupted("rep lodsw out of an absent page", CODE("rep lodsw"), EDGE - 64, 0, 50, 2,
		    false);
	interrupted("across a page that is there", CODE("rep stosb"), 0, LOW + 0x800, 0x2000, 1,
		    true);
	report(*(u8 *)(LOW + 0x1000) == 0x5a, "  it wrote both pages");

	/* An element that straddles the edge: it is not begun. */
	map(3, (u32)frames[2], 0);
	memset((void *)(EDGE - 16), 0, 16);
	c = with(CODE("rep stosl"), 0, EDGE - 10, 8);
	c.eax = -1u;
	run(&c);
	expect(&c, "straddling element", PF, PFE_W, 0);
	expect_regs(&c, "  two elements done", 0, EDGE - 2, 6);
	check_eq(*(u16 *)(EDGE - 2), 0, "  nothing of the third is written");
	/* Backwards into an absent page below. */
	map(0, 0, 0);
	c = with(CODE("std\nrep stosb\ncld"), 0, LOW + 9, 20);
	run(&c);
	expect(&c, "backwards into an absent page", PF, PFE_W, 1);
	expect_regs(&c, "  ten bytes done", 0, LOW - 1, 10);
	check_eq(c.cr2, LOW - 1, "  CR2");
	report(c.eflags & DF_, "  DF is in the saved flags");
	/* Compare with the fault in the second operand. */
	c = with(CODE("repe cmpsb"), LOW, EDGE - 5, 10);
	memset((void *)(EDGE - 5), 1, 5);
	memset((void *)LOW, 1, 10);
	run(&c);
	expect(&c, "repe cmpsb into an absent page", PF, 0, 0);
	expect_regs(&c, "  five bytes compared", LOW + 5, EDGE, 5);
	/* From ring 3, so that the error code has U. */
	c = user_context(CODE("rep stosl"));
	c.edi = EDGE - 8;
	c.ecx = 4;
	run(&c);
	expect(&c, "rep stosl from ring 3", PF, PFE_W | PFE_U, 0);
	expect_regs(&c, "  two done", 0, EDGE, 2);
	paging_disable();
}

/* 16-bit addresses use SI, DI and CX and wrap there; the upper halves stay. */
static void narrow(void)
{
	struct context c;

	memset((void *)0x8000, 0x11, 16);
	c = with(CODE("addr16 rep movsb"), 0xabcd8000, 0x12349000, 0x77770010);
	run(&c);
	expect_done(&c, "16-bit rep movsb");
	expect_regs(&c, "only the low halves change", 0xabcd8010, 0x12349010, 0x77770000);
	report(*(u8 *)0x900f == 0x11, "it copied at SI and DI");
	*(u8 *)0x7000 = 0;
	gdt_set(FREE_SEL, (u32)frames, 0xffff, SEG_DATA, 0);
	frames[15][4095] = 0x77;
	frames[0][0] = 0x78;
	c = with(CODE("addr16 rep lodsb"), 0xffff, 0, 2);
	c.ds = FREE_SEL;
	run(&c);
	report((u8)c.eax == 0x78 && c.esi == 1, "SI wraps at 64 KiB");
	/* Segment override on the source only. */
	c = with(CODE("fs movsb"), 4, (u32)target, 0);
	c.fs = FREE_SEL;
	frames[0][4] = 0x99;
	run(&c);
	check_eq(target[0], 0x99, "FS override applies to the source");
}

void guest_main(void)
{
	plain();
	compares();
	faults();
	narrow();
}
