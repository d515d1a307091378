/*
 * The run-time of the test kernels: contexts, descriptors, paging, reporting.
 *
 * A test builds a context that points at a snippet of assembly, runs it, and compares the
 * state in which the processor stopped with what the manual says:
 *
 *	struct context c = kernel_context(CODE("divl %ecx"));
 *	c.ecx = 0;
 *	run(&c);
 *	expect(&c, "divide by zero", DE, 0, 0);
 *
 * Lines on COM1: "PASS name", "FAIL name: why", "SKIP name"; at the end "DONE n m", and
 * isa-debug-exit gets 0 (all passed) or 1.
 */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef _Bool bool;
enum { false, true };

/* ---- processor constants ---- */
enum vector {
	DE,
	DB,
	NMI,
	BP,
	OF,
	BR,
	UD,
	NM,
	DF,
	CSO,
	TS,
	NP,
	SS,
	GP,
	PF,
	MF = 16,
	AC,
	MC,
	XM,
	DONE = 0x7f,
	SYSCALL = 0x80
};
enum flag {
	CF_ = 1,
	PF_ = 4,
	AF_ = 0x10,
	ZF_ = 0x40,
	SF_ = 0x80,
	TF_ = 0x100,
	IF_ = 0x200,
	DF_ = 0x400,
	OF_ = 0x800,
	IOPL_ = 0x3000,
	NT_ = 0x4000,
	RF_ = 0x10000,
	VM_ = 0x20000,
	AC_ = 0x40000,
	ID_ = 0x200000,
	ARITH_ = 0x8d5
};
enum page_error { PFE_P = 1, PFE_W = 2, PFE_U = 4, PFE_RSVD = 8, PFE_I = 16 };
enum cr0 {
	CR0_PE = 1,
	CR0_MP = 2,
	CR0_EM = 4,
	CR0_TS = 8,
	CR0_NE = 32,
	CR0_WP = 1 << 16,
	CR0_AM = 1 << 18,
	CR0_CD = 1 << 30
};
#define CR0_PG 0x80000000u
enum cr4 {
	CR4_VME = 1,
	CR4_PVI = 2,
	CR4_TSD = 4,
	CR4_DE = 8,
	CR4_PSE = 16,
	CR4_PAE = 32,
	CR4_PGE = 128,
	CR4_OSFXSR = 512,
	CR4_OSXMMEXCPT = 1024
};

/* ---- selectors of the standard GDT; the rest is free for the tests ---- */
enum sel {
	KCODE = 0x08,
	KDATA = 0x10,
	UCODE = 0x18 | 3,
	UDATA = 0x20 | 3,
	TSS_SEL = 0x28,
	CODE16 = 0x30,
	DATA16 = 0x38,
	FREE_SEL = 0x60,
	GDT_ENTRIES = 64
};
extern u64 gdt[GDT_ENTRIES];
extern u64 idt[256];
/* Access bytes. */
enum {
	SEG_DATA = 0x93,
	SEG_DATA_RO = 0x91,
	SEG_DOWN = 0x97,
	SEG_CODE = 0x9b,
	SEG_CODE_XO = 0x99,
	SEG_CONFORM = 0x9f,
	SEG_LDT = 0x82,
	SEG_TSS = 0x89,
	SEG_TSS16 = 0x81,
	DPL3 = 0x60
};
/* Flag nibble, as in bits 52-55. */
enum { SEG_G = 8, SEG_B = 4 };
u64 make_segment(u32 base, u32 limit, u8 access, u8 flags);
u64 make_gate(u16 sel, u32 offset, u8 access, u8 params);
void gdt_set(u16 sel, u32 base, u32 limit, u8 access, u8 flags);
/* Back to the standard gate for the vector, or with DPL 3. */
void idt_reset(u8 vector);
void idt_set_dpl(u8 vector, u8 dpl);

struct tss {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
	u8 bitmap[8192 + 1]; /* the I/O permission bitmap and its closing byte */
} __attribute__((packed));
extern struct tss tss;

/* ---- contexts ---- */
struct context {
	u32 eax, ecx, edx, ebx, ebp, esi, edi, esp, ss, eip, cs, eflags, ds, es, fs, gs;
	u32 vector, error, cr2;
	u32 start; /* where it began, for expect() */
};
_Static_assert(__builtin_offsetof(struct context, esp) == 28, "see trap.S");
_Static_assert(__builtin_offsetof(struct context, cr2) == 72, "see trap.S");

/*
 * The address of a snippet that ends in INT 7Fh. The body is verbatim AT&T assembly; registers
 * take one %, as basic asm does no substitution. It is put out of line, in .snippets.
 */
#define CODE(body)                                                                                 \
	({                                                                                         \
		__asm__ volatile(".pushsection .snippets,\"awx\",@progbits\n771:\n" body           \
				 "\nint $0x7f\n.popsection\nmovl $771b, snippet_at");              \
		snippet_at;                                                                        \
	})
extern volatile u32 snippet_at;

struct context kernel_context(u32 eip);
struct context user_context(u32 eip);
/* Virtual-8086 or real-mode style: cs:ip by paragraph. */
struct context vm86_context(u16 cs, u16 ip);
void run(struct context *);
extern u32 kernel_stack_top, user_stack_top; /* where snippets have their stacks */

/* Handler for a vector: return nonzero to resume the interrupted code, 0 to end the run(). */
typedef int (*isr_fn)(struct context *);
extern isr_fn isr[256];

/* ---- reporting ---- */
void puts(const char *);
void put_hex(u32);
bool report(bool ok, const char *name);
bool check_eq(u32 got, u32 want, const char *name);
/* Stopped by `vector` with `error`, with the saved EIP `offset` bytes into the snippet. */
bool expect(const struct context *, const char *name, u32 vector, u32 error, u32 offset);
/* The snippet ran to its end. */
bool expect_done(const struct context *, const char *name);
/*
 * The next check follows the manual where QEMU's TCG does not (it checks no segment limits, raises
 * no #AC, ...): with "oracle" on the command line it is skipped, with the reason kept here.
 */
void sdm_only(const char *why);
extern bool on_oracle;
void guest_finish(void) __attribute__((noreturn));
void guest_main(void);

/* ---- memory ---- */
void *memcpy(void *, const void *, unsigned long);
void *memset(void *, int, unsigned long);
int memcmp(const void *, const void *, unsigned long);

/* ---- paging (paging.c): identity map of the first 64 MiB and 4 KiB control over one region ----
 */
enum pte {
	PTE_P = 1,
	PTE_W = 2,
	PTE_U = 4,
	PTE_PWT = 8,
	PTE_PCD = 16,
	PTE_A = 32,
	PTE_D = 64,
	PTE_PS = 128,
	PTE_G = 256
};
#define PTE_NX (1ull << 63)
extern u32 page_dir[1024]; /* the non-PAE directory */
extern u64 pae_pdpt[4], pae_dir[4][512];
/* 4 KiB page tables for the region [TEST_VA, TEST_VA + 4 MiB), one for each format. */
#define TEST_VA 0x40000000u
extern u32 test_table[1024];
extern u64 test_table_pae[512];
void paging_enable(void);
void paging_enable_pae(bool nx);
void paging_disable(void);
/* Physical 4 KiB frames of the kernel's own that the tests may map anywhere. */
enum { FRAMES = 16 };
extern u8 frames[FRAMES][4096];
void map(u32 va_page_index, u32 pa, u32 flags); /* into test_table, and flushes */
void map_pae(u32 va_page_index, u64 entry);

/* ---- instructions ---- */
static inline void outb(u16 port, u8 v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outw(u16 port, u16 v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outl(u16 port, u32 v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline u8 inb(u16 port)
{
	u8 v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u16 inw(u16 port)
{
	u16 v;
	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u32 inl(u16 port)
{
	u32 v;
	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void invlpg(u32 va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}
static inline u64 rdtsc(void)
{
	u64 v;
	__asm__ volatile("rdtsc" : "=A"(v));
	return v;
}
static inline u64 rdmsr(u32 n)
{
	u64 v;
	__asm__ volatile("rdmsr" : "=A"(v) : "c"(n));
	return v;
}
static inline void wrmsr(u32 n, u64 v)
{
	__asm__ volatile("wrmsr" : : "A"(v), "c"(n) : "memory");
}
static inline void cpuid(u32 leaf, u32 r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(0));
}
#define DEFINE_REG(reg)                                                                            \
	static inline u32 read_##reg(void)                                                         \
	{                                                                                          \
		u32 v;                                                                             \
		__asm__ volatile("movl %%" #reg ", %0" : "=r"(v));                                 \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_##reg(u32 v)                                                      \
	{                                                                                          \
		__asm__ volatile("movl %0, %%" #reg : : "r"(v) : "memory");                        \
	}
DEFINE_REG(cr0)
DEFINE_REG(cr2) DEFINE_REG(cr3) DEFINE_REG(cr4) DEFINE_REG(dr0) DEFINE_REG(dr1) DEFINE_REG(dr2)
	DEFINE_REG(dr3) DEFINE_REG(dr6) DEFINE_REG(dr7)

	/* ---- the PC (pc.c) ---- */
	enum { PIC_BASE = 0x20 }; /* IRQ n is vector 20h + n */
void pic_setup(u16 mask);
void pic_eoi(u8 irq);
void pit_periodic(u16 divisor);
void pit_oneshot(u16 count);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#endif
