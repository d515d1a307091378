/*
 * Inside the translator: the data structures that its files share.
 *
 * Registers while translated code runs (SDM terms for the guest's):
 *
 *   EAX..EDI   the guest's eight registers, upper halves zero; RSP is the guest's ESP
 *   RFLAGS     the guest's arithmetic flags and DF
 *   x87, SSE   the guest's
 *   GS base    the current window; guest memory is gs:[EA32]
 *   R15        struct cpu        R14  struct tcx (translator's per-vCPU block)
 *   R13        indirect-branch table of the current space and mode
 *   R12        the software TLB, plus 12 (xl_lookup.c)
 *   R8-R11     scratch, dead between guest instructions
 *
 * There is no host stack in translated code (RSP is the guest's), so nothing is pushed or called: code leaves
 * by jumps through pointers in struct tcx.
 */
#ifndef RINGFENCE_TRANSLATOR_INTERNAL_H
#define RINGFENCE_TRANSLATOR_INTERNAL_H

#include "translator/history.h"
#include "translator/meter.h"
#include "translator/offsets.h"
#include "translator/translator.h"

#include <signal.h>
#include <stdatomic.h>

/* ---------------------------------- modes (mode.c) ---------------------------------- */

/*
 * Everything about the processor that changes what a translation looks like. Part of a CCF's
 * key: code translated in one mode is never entered in another.
 */
enum {
	MODE_USER = 1 << 0,     /* CPL 3 */
	MODE_CODE32 = 1 << 1,   /* CS.D */
	MODE_STACK32 = 1 << 2,  /* SS.B */
	MODE_FLAT_CS = 1 << 3,  /* base 0, limit 4 GiB, readable */
	MODE_FLAT_DS = 1 << 4,  /* base 0, limit 4 GiB, writable */
	MODE_FLAT_ES = 1 << 5,
	MODE_FLAT_SS = 1 << 6,
	MODE_FULL_FS = 1 << 7,  /* any base, limit 4 GiB, writable */
	MODE_FULL_GS = 1 << 8,
	MODE_FPU = 1 << 9,      /* CR0.EM = CR0.TS = 0 */
	MODE_SSE = 1 << 10,     /* MODE_FPU and CR4.OSFXSR */
	MODE_IOPL_SHIFT = 11,   /* two bits */
	MODE_NT = 1 << 13,
	MODE_CLI_OK = 1 << 14,  /* CPL <= IOPL */
	MODE_CPL0 = 1 << 15,
	MODE_TSC_OK = 1 << 16,  /* RDTSC does not fault */
	MODE_INTERPRET = 1 << 17, /* nothing is translated in this mode */
	MODE_LOOKUP = 1 << 18,    /* memory by look-up: an address space too young for a window */
	MODE_DIRECT = 1 << 19,    /* what may not run directly of an address space whose code does */
	MODE_GEAR = MODE_LOOKUP | MODE_DIRECT, /* not the processor's state, but how it is run */
};
uint32_t mode_of(const struct cpu *);
/*
 * Kernels leave in GS what user code has there, or nothing, and do not use it: were it part of ring 0's modes, most of a kernel would be
 * translated twice. So MODE_FULL_GS is not, until ring 0 uses GS all the same (xl_mem.c). Without the bit such an instruction
 * is interpreted, so code translated before stays right.
 */
extern bool mode_ring0_gs;
/* MODE_FULL_GS or 0. */
static inline uint32_t mode_gs(const struct cpu *c)
{
	const struct cpu_segment *s = &c->seg[S_GS];
	bool full = s->limit == 0xffffffff && (s->attr & (SEG_NULL | SEG_P | SEG_S | SEG_CODE | SEG_DOWN | SEG_WRITE)) ==
						      (SEG_P | SEG_S | SEG_WRITE);

	return full && (c->cpl || mode_ring0_gs) ? MODE_FULL_GS : 0;
}
/*
 * Likewise SSE: kernels run a while before they set CR4.OSFXSR, and use no SSE even then. Until ring 0 does, its modes say that SSE is on;
 * what SSE there is while it is off is interpreted, which is right at any time (translate.c).
 */
extern bool mode_ring0_sse;
/* MODE_SSE or 0, if MODE_FPU. */
static inline uint32_t mode_sse(const struct cpu *c)
{
	return (c->cr4 & CR4_OSFXSR) || (c->cpl == 0 && !mode_ring0_sse) ? MODE_SSE : 0;
}

/* ---------------------------------- CCFs (ccf.c) ---------------------------------- */

typedef uint32_t ccf_id; /* index into tc->ccf; 0 is none */

enum { CCF_MAX_INSNS = 64, CCF_MAX_BYTES = 8192, CCF_EXITS = 6, CCF_ALIGN = 32 };
enum ccf_state { CCF_FREE, CCF_LIVE, CCF_DORMANT, CCF_DEAD };

/* A direct exit: a rel32 in the code, and the CCF it jumps to when chained; or code that goes by the branch table, where it stands. */
struct ccf_exit {
	uint32_t ahead;    /* the guest linear address that it leads to, less the CCF's: stays the same when that is moved */
	uint16_t patch;    /* offset of the rel32 in the host code; 0: none */
	uint16_t stub;     /* offset of the code that leaves for the dispatcher; 0: none */
	uint16_t alt;      /* offset of the code that goes by the branch table; 0: none */
	uint16_t pad;
	ccf_id to;         /* chained to; 0: not */
	uint32_t next;     /* next exit id chained to the same CCF */
};

/* Is there such an exit? */
static inline bool exit_used(const struct ccf_exit *x) { return x->patch || x->alt; }

/* Guest instruction i of a CCF: how many guest and host bytes it takes. */
struct ccf_insn {
	uint16_t host;
	uint8_t guest : 4;
	int8_t words : 4; /* how far the guest's ESP was from the host's, in dwords, when it began (esp.c) */
	uint8_t flags; /* INSN_*; a call of a thunk: tinsn.thunk */
};
enum {
	INSN_VARIES = 1, /* loads its immediate from its source (vary.c) */
	INSN_LEARNT = 2, /* looks up because it has learnt to (hint.c) */
	INSN_THUNK_SHIFT = 4,
};

struct ccf {
	uint64_t gpa;      /* of the first byte */
	uint64_t gpa2;     /* page of the second part when the CCF crosses a page, else ~0 */
	uint32_t lin;      /* guest linear address = EIP (flat code segments) */
	uint32_t mode;
	uint32_t host;     /* offset in the TC of the direct entry */
	uint16_t host_len; /* of all the code */
	uint16_t guest_len;
	uint8_t entry;     /* bytes before `host`: the indirect entry and what belongs to it */
	uint8_t insns;
	uint8_t state;
	uint8_t flags;     /* CCF_* */
	uint8_t counting;  /* bytes at `host` that count the entry (counts.h); 0: it is not counted */
	uint8_t fields;    /* places in the code that depend on its linear address (move.h) */
	uint8_t island;    /* bytes before the indirect entry: where that goes when another CCF was meant */
	uint8_t thunk : 4; /* it is a thunk for this register, plus one; 0: it is none */
	uint8_t needs : 4; /* it has calls of such a thunk, of none but that at `lin` + `thunk_ahead`; 0: it has not */
	ccf_id into_next, into_prev; /* of those that span into the same page, gpa2 */
	uint32_t map;      /* offset in the TC of its struct ccf_insn array, behind the code; then come the fields and ccf_source */
	uint32_t incoming; /* first exit id chained to this CCF; 0: none */
	uint32_t tables;   /* branch tables it may be in, by number (ibtc.c) */
	uint32_t thunk_ahead;
	/* a cache line up to here: what finding, moving and dropping look at */
	struct ccf_exit exit[CCF_EXITS];
	uint64_t hash;     /* of the source bytes */
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct ccf, exit) == 64, "see above");

/*
 * A CCF's place in the table by (lin, mode), and in the list of those that begin on the same guest-physical page (smc.c). Apart from
 * struct ccf, so that walking either touches a few bytes of each and not a cache line.
 */
struct ccf_link {
	uint32_t tag; /* of (lin, mode): ccf_tag */
	ccf_id next;
	ccf_id page_next, page_prev;
};

enum {
	CCF_CROSSING = 1,  /* spans two pages */
	CCF_SELFCHECK = 2, /* compares its source bytes at entry */
	CCF_STALE = 8,       /* dropped because its form was wrong: never revive */
	CCF_NO_REVIVAL = CCF_CROSSING | CCF_SELFCHECK | CCF_STALE,
	CCF_FIXED = 16,      /* cannot be moved */
	CCF_VARIES = 32,     /* some of its instructions do, and it checks itself without help (vary.c) */
	CCF_SIDE_EFFECT = 4, /* contains an instruction that may be executed only once (I/O, time) */
};

/* exit id = ccf id * CCF_EXITS + n + 1; 0 is none */
static inline uint32_t exit_id(ccf_id c, unsigned n) { return c * CCF_EXITS + n + 1; }
static inline uint32_t exit_target(const struct ccf *c, unsigned n) { return c->lin + c->exit[n].ahead; }
static inline ccf_id exit_ccf(uint32_t id) { return (id - 1) / CCF_EXITS; }
static inline unsigned exit_index(uint32_t id) { return (id - 1) % CCF_EXITS; }

/* ------------------------------- indirect branches (ibtc.c) ------------------------------- */

/*
 * One table per (space, mode): 65536 host addresses of indirect entries, indexed by the low 16 bits of the target
 * (MOVZX keeps flags). Entries that hold nothing point at the miss stub.
 */
enum { IBTC_SIZE = 65536, IBTC_TABLES = 32, IBTC_CHUNK = 8, IBTC_LAST = 8 };
enum { IBTC_THUNKS = 256 };
struct ibtc {
	uintptr_t *slot;  /* IBTC_SIZE entries, mapped lazily */
	uint64_t thunk[IBTC_THUNKS]; /* thunks (thunk.c) that were put into it and that its space still has: lin | ccf.thunk << 32 */
	unsigned thunks, thunk_found; /* how many; which was asked for last */
	uint32_t mode;
	uint16_t space;
	bool valid;
	uint64_t used_at; /* LRU clock */
	uint64_t chunks[IBTC_SIZE / IBTC_CHUNK / 64]; /* which chunks hold anything */
};

/* ---------------------------------- per-vCPU block (R14) ---------------------------------- */

/*
 * What a segment register was last loaded from, by the lean path and from the GDT: kernels reload DS and ES with what they hold
 * already whenever they are entered and left, and translated code can see that (xl_segment.c). Zero matches nothing. Forgotten whenever
 * anything else may have loaded segments: true of the register as long as only translated code and the lean path have run.
 */
struct tcx_loaded {
	uint32_t not_sel;            /* ~selector */
	uint32_t at;                 /* linear address of the descriptor */
	uint32_t minus_lo, minus_hi; /* its two words, negated: LEA can compare with sums only */
};

struct tcx {
	uint64_t host_rsp;
	uint64_t target; /* where tc_enter goes */
	_Atomic uint32_t kick;
	uint32_t intr_wait; /* an interrupt waits for IF */
	uint64_t window;    /* GS base as translated code has it */
	uintptr_t *ibtc;    /* R13 on entry */
	uint32_t reason, arg;
	const void *stub_exit, *stub_miss, *stub_interp, *stub_leave, *stub_check, *stub_system;
	uint64_t count;     /* guest instructions executed (with counting on) */
	struct cpu *cpu;
	struct cpu_fx *fx;
	const void *stub_refill;
	uintptr_t tlb;      /* software TLB of the present privilege, plus TLB_BIAS */
	uint64_t tmp;
	uint32_t op; /* lean.h */
	uint64_t *counts; /* counts.h; null: off */
	struct tcx_loaded loaded[6]; /* by number of the segment register */
	/* filled by the signal handler */
	uint64_t fault_rip, fault_addr;
	uint32_t fault_error, fault_signal;
	uint64_t fault_tsc;
	struct tc *tc;
};

/* ---------------------------------- pages with code (smc.c) ---------------------------------- */

struct code_page {
	uint64_t gfn;
	ccf_id first;      /* live CCFs that begin on the page */
	ccf_id into;       /* live CCFs that span into it from another */
	uint16_t writes;   /* since everything was dropped last: those that hit no CCF */
	uint16_t hits;     /* and those that did */
	uint16_t thrash;   /* how often everything was dropped for writes */
	uint8_t patience;  /* doublings of the self-checks that must find nothing before it is protected again */
	uint32_t clean;    /* self-checks in a row that found nothing */
	uint32_t moved_to; /* linear page last asked for by move_page, plus one; and the mode */
	uint32_t moved_mode;
	bool used;
	bool selfcheck;    /* too often written: leave it writable, CCFs check themselves */
};

/* Guest instructions that must not use a window: where, and which form they take instead. */
enum form { FORM_WINDOW, FORM_LOOKUP, FORM_CALLOUT };
/* And why: what it was that happened there. */
enum form_cause { CAUSE_DEVICE, CAUSE_USER_PAGE, CAUSE_PAGE_FAULTS, CAUSE_ARITHMETIC, CAUSE_EMULATED };

/* How user code of an address space runs (gear.c). */
enum { GEAR_CHECKS = 2, GEAR_REPUTATIONS = 1024 };
struct gear {
	uint64_t cycles;   /* of the TSC, spent in look-up code; in all its code while that is watched */
	uint32_t callouts; /* made by look-up code */
	uint32_t faults;   /* that filled its window since the last tick */
	uint8_t patience;  /* doublings of what a promotion takes */
	bool window;       /* promoted */
	bool known;        /* whether it runs for long; until then it is watched */
	uint8_t checks;    /* check points passed, and whose reputation each of them concerns */
	uint16_t mark[GEAR_CHECKS];
};

/* The same for worlds (direct_gear.c). */
enum { STRETCH_GUESSES = 256 };
enum demotion { DEMOTED_NEVER, DEMOTED_SHORT, DEMOTED_COST };
struct direct_gear {
	bool on;     /* a candidate: its stretches are timed */
	bool banned; /* its worlds broke too often, or none could be made */
	bool open;   /* a stretch has begun */
	bool now;    /* and runs directly */
	uint8_t deaths, patience;
	uint8_t demoted; /* why it was dismissed last */
	uint8_t history; /* the last stretches, a bit each: was it long? */
	uint8_t slot;    /* of the guess about this one */
	uint32_t ticks, shorts;
	uint32_t forgiven; /* exits that a new candidate may still make without being held to account */
	uint64_t ran;    /* cycles of this stretch so far */
	uint64_t unfit_since; /* TSC when it last came to a page that may not run directly */
	uint8_t guess[STRETCH_GUESSES]; /* from 2 up: long */
};

/* ---------------------------------- the translation cache ---------------------------------- */

/* The instruction that faulted last, and its host code, in the middle of a unit. */
struct resume {
	uint32_t eip, mode;
	uint64_t host; /* 0: none */
};

enum { TC_RECENT = 16 };
enum { TC_SEGMENTS = 16, TC_HASH_BITS = 18, TC_HINT_BITS = 12, HINT_PAGES = 4096 };

struct tc {
	struct tcx x;
	struct tc_config config;
	struct cpu *cpu;
	struct mmu *mmu;
	struct physmap *pm;
	struct tc_ops ops;
	struct tc_stats stats;
	struct meters meters;

	/* memory (cache.c): two views of the same pages */
	uint8_t *rx, *rw;
	size_t size;
	size_t seg_size;
	size_t fill;       /* next free byte */
	size_t top;        /* end of what has ever been filled since it was empty */
	unsigned segment;  /* segment being filled */
	ccf_id *granule;   /* which CCF owns each CCF_ALIGN bytes */
	struct {
		uint32_t off, len;
	} spare;           /* room given back; len 0: none */

	/* CCF records */
	struct ccf *ccf;
	uint32_t ccf_max, ccf_top;
	ccf_id ccf_free;   /* free list through link */
	ccf_id hash[1 << TC_HASH_BITS];
	struct ccf_link *link; /* of each CCF */

	struct code_page *page; /* open-addressed by gfn (smc.c) */
	unsigned pages, page_slots; /* in use; in all, a power of two */
	uint64_t *hint;         /* lin | form, direct-mapped */
	uint64_t hint_page[HINT_PAGES / 64]; /* linear pages, by their low bits, that have any */

	struct ibtc ibtc[IBTC_TABLES];
	struct ibtc *ibtc_now;
	struct ibtc *ibtc_last[IBTC_LAST]; /* by ibtc.c: last_of */
	uintptr_t *ibtc_miss;   /* a table that always misses */
	int ibtc_fd;            /* its memory */
	uint64_t clock;

	uint32_t mode;          /* of the code being run */
	struct gear gear[MMU_MAX_SPACES];
	uint8_t reputation[GEAR_REPUTATIONS]; /* of code pages: do those who come by run for long? */
	struct gear *gear_running; /* whose code runs since gear_since; null: none */
	uint64_t gear_since;
	uint64_t gear_frame;       /* the page of code where it began; 0: not known */
	struct direct_gear *stretch; /* of whose code a stretch runs since stretch_since; null: none */
	uint64_t stretch_since, exit_cycles; /* what going into a world and out takes */
	bool stretch_interrupted;    /* what comes now is an interrupt, not its end */
	bool cpuid_faults;           /* CPUID traps in worlds */
	bool lookup_possible;
	bool loop_cheap;        /* entries are by LOOP (xl_flow.c) */
	bool fsgsbase;
	const struct softtlb *softtlb[2]; /* of supervisor and user accesses */
	bool lean;              /* may the lean path be taken? */
	bool unchained;         /* every block comes by the dispatcher: lockstep, or the log wants to see it */
	bool watched;           /* not by system instructions: a debugger looks at events */
	uintptr_t recent[TC_RECENT]; /* host addresses last entered at from C, for crash reports */
	uint32_t recents;         /* ever */
	uint32_t last_exit;     /* direct exit just taken, to be chained; 0: none */
	bool changed;           /* CCFs were dropped: a callout may not return into the TC */
	struct resume resume;   /* of user code */
	ccf_id sampled;         /* the CCF that the last kick found running; 0: none */
	ccf_id interrupted;     /* CCF whose exits a kick has pointed at their stubs; 0: none */
	pid_t tid;
	void *altstack;
	stack_t altstack_before; /* the thread's own: a sanitizer frees what stands there at its end */
	struct lockstep *lockstep;
	struct direct *direct;  /* null: user code runs translated */
	struct direct_gear direct_gear[MMU_MAX_SPACES];
	uint64_t translate_tsc; /* time spent translating */
	struct history *history; /* for the debug monitor; never null */
	struct symbols *symbols; /* for perf; null: nobody asked */
	struct gdbjit *gdbjit;   /* for gdb on this process */
	uint32_t *breakpoint;   /* linear addresses, ascending */
	unsigned breakpoints;
	bool failed;
	bool no_thunks;         /* calls of thunks are to be translated as calls */
	struct {
		uint64_t insns; /* by number; 0: none */
		uint64_t gpa;
		uint32_t lin, mode;
	} vary; /* instructions of the unit about to be translated here that are to load their immediates */
};

static inline void loaded_forget(struct tc *tc)
{
	for (unsigned i = 0; i < ARRAY_LEN(tc->x.loaded); i++)
		tc->x.loaded[i].not_sel = 0;
}
/* May anything run by look-up? */
static inline bool may_look_up(const struct tc *tc)
{
	return tc->lookup_possible && tc->config.lookup != TC_LOOKUP_OFF;
}
static inline uint8_t *tc_rx(const struct tc *tc, uint32_t off) { return tc->rx + off; }
static inline struct ccf *ccf_of(struct tc *tc, ccf_id id) { return &tc->ccf[id]; }
static inline const struct ccf_insn *ccf_map(const struct tc *tc, const struct ccf *c)
{
	return (const struct ccf_insn *)(const void *)tc_rx(tc, c->map);
}
/* What a CCF was made from; kept of those that check themselves and lie in one page. */
static inline const uint8_t *ccf_source(const struct tc *tc, const struct ccf *c)
{
	return tc_rx(tc, c->map + c->insns * (uint32_t)sizeof(struct ccf_insn) + c->fields * (uint32_t)sizeof(uint16_t));
}

/* ---- enter.S ---- */
/* Runs translated code at x->target until it leaves; x->reason says why. */
void tc_enter(struct tcx *x);
extern const char tc_stub_exit[], tc_stub_miss[], tc_stub_interp[], tc_stub_leave[], tc_stub_check[];
extern const char tc_stub_system[], tc_stub_refill[];
extern const char tc_enter_check[], tc_enter_end[], tc_enter_abort[], tc_fault_leave[];

/* ---- cache.c ---- */
bool cache_create(struct tc *, char *err, size_t errlen);
void cache_destroy(struct tc *);
/* Room for `len` bytes of this CCF; evicts what stood there. Returns the offset. */
uint32_t cache_reserve(struct tc *, ccf_id, size_t len);
void cache_write(struct tc *, uint32_t off, const void *code, size_t len);
/* Release a dropped CCF that nothing leads to any more; the next one that fits gets its room. */
void cache_give_back(struct tc *, ccf_id);
ccf_id cache_owner(const struct tc *, uintptr_t host); /* async-signal-safe; 0: none */
void cache_flush(struct tc *);

/* ---- ccf.c ---- */
/* One to one for the addresses of a mode; addresses of one page differ in the low bits only. */
static inline uint32_t ccf_tag(uint32_t lin, uint32_t mode)
{
	return lin ^ mode * 0x9e3779b1u;
}
ccf_id ccf_alloc(struct tc *);
void ccf_insert(struct tc *, ccf_id);
/* Give it another linear address; its code is the caller's business. */
void ccf_readdress(struct tc *, ccf_id, uint32_t lin);
ccf_id ccf_find(struct tc *, uint32_t lin, uint32_t mode, uint64_t gpa);
/* Is the page of `lin` tracked in the present space, with `gpa` there? No effects. */
bool ccf_tracked_at(struct tc *, uint32_t lin, uint32_t mode, uint64_t gpa);
/* Is its second page, if it has one, tracked in the present space, and the one that it was made from? No effects. */
bool ccf_tracked(struct tc *, const struct ccf *);
/* Likewise without effects: one that spans two pages only if it is tracked. */
ccf_id ccf_find_lean(struct tc *, uint32_t lin, uint32_t mode, uint64_t gpa);
/* Does the guest's memory still hold what a CCF that checks itself was made from? */
bool ccf_unchanged(struct tc *, const struct ccf *);
/* Out of every table, chains undone; the code stays for revival. */
void ccf_drop(struct tc *, ccf_id);
/* The same, never to be revived. */
void ccf_discard(struct tc *, ccf_id);
/* A dropped CCF's memory is being reused. */
void ccf_release(struct tc *, ccf_id);
ccf_id ccf_revive(struct tc *, uint32_t lin, uint32_t mode, uint64_t gpa);
/* Host address -> guest EIP of the instruction it belongs to; host start of that instruction. */
bool ccf_locate(struct tc *, ccf_id, uintptr_t host, uint32_t *eip, uint32_t *host_off, unsigned *index);
/* Host address and EIP of the instruction after `index`; false: it is the last. */
bool ccf_after(struct tc *, ccf_id, unsigned index, uintptr_t *host, uint32_t *eip);
uint64_t code_hash(const void *, size_t);

/* ---- chain.c ---- */
void chain_link(struct tc *, uint32_t exit, ccf_id to);
void chain_unlink_incoming(struct tc *, ccf_id);
void chain_unlink_outgoing(struct tc *, ccf_id);
void chain_interrupt(struct tc *, ccf_id); /* async-signal-safe: point exits at their stubs */
void chain_restore(struct tc *, ccf_id);

/* ---- ibtc.c ---- */
bool ibtc_create(struct tc *, char *err, size_t errlen);
void ibtc_destroy(struct tc *);
void ibtc_select(struct tc *, unsigned space, uint32_t mode);
/* The same when the table exists; false: it does not. */
bool ibtc_select_known(struct tc *, unsigned space, uint32_t mode);
/* False: it cannot run in the present space, which is not known to have the thunk that it calls. */
bool ibtc_put(struct tc *, ccf_id);
bool ibtc_has_thunk_of(const struct tc *, const struct ccf *);
void ibtc_forget_ccf(struct tc *, ccf_id);
void ibtc_forget_space(struct tc *, unsigned space);
void ibtc_forget_page(struct tc *, unsigned space, uint64_t lin_page);
void ibtc_clear_all(struct tc *);

/* ---- smc.c ---- */
bool smc_create(struct tc *, char *err, size_t errlen);
void smc_destroy(struct tc *);
void smc_add(struct tc *, ccf_id);
void smc_remove(struct tc *, ccf_id);
/* The instruction at this address is to be translated in another form: discard all CCFs that have it. */
void smc_discard_at(struct tc *, uint64_t gpa);
bool smc_page_selfchecks(struct tc *, uint64_t gpa);
struct code_page *smc_page(struct tc *, uint64_t gfn);
bool smc_selfchecked(struct tc *, ccf_id, bool unchanged);
/* The same for one that lies in one page and is unchanged. False: nothing was done, it is time to protect the page. General registers only. */
bool smc_lean_unchanged(struct tc *, const struct ccf *);
void smc_clear(struct tc *);
void smc_code_unmapped(void *ctx, unsigned space, uint64_t first, uint64_t last);
void smc_space_recycled(void *ctx, unsigned space);

/* ---- hints (hint.c): forms learnt from faults ---- */
/*
 * An instruction's PLACE is its linear address; in user code its physical one, because programs are found at other addresses each time
 * they run. (Addresses of both kinds may collide, which costs time but is not wrong.)
 */
static inline uint32_t hint_place(uint32_t mode, uint32_t lin, uint64_t gpa)
{
	return mode & MODE_USER ? (uint32_t)gpa : lin;
}
/* Of the instruction at `lin` of a CCF: it begins in the CCF's first page. */
static inline uint32_t hint_place_in(const struct ccf *c, uint32_t lin)
{
	return hint_place(c->mode, lin, c->gpa + (lin - c->lin));
}
enum form hint_form(const struct tc *, uint32_t place);
/* Of an instruction whose form is not FORM_WINDOW. */
enum form_cause hint_cause(const struct tc *, uint32_t place);
/* `lin`: for the history. */
void hint_set(struct tc *, uint32_t place, uint32_t lin, enum form, enum form_cause);
bool hint_exception(struct tc *, uint32_t place);
/*
 * A look-up form learnt because accesses kept being emulated (CAUSE_EMULATED), or by user code from page faults (CAUSE_PAGE_FAULTS), is not
 * for good. Linux patches its text by the MEMCPY that everybody calls, thousands of times while it starts and hardly ever after; and the
 * loop that touches a program's memory first may be the one that computes on it. hint_served: a string instruction was executed in that
 * form, and the window would have done (or not). hint_over: so it was many times in a row, and the instruction is to have its window back.
 * hint_faulted: the look-up was of use, it faulted. hint_sampled: a tick has found it running; true: it has learnt from page faults, has
 * not faulted since the last tick but one, and is to have its window back.
 */
void hint_served(struct tc *, uint32_t place, bool window_would_do);
bool hint_over(const struct tc *, uint32_t place);
void hint_faulted(struct tc *, uint32_t place);
bool hint_sampled(struct tc *, uint32_t place);
/* May there be a form learnt for an instruction whose place is in the page? */
bool hint_on_page(const struct tc *, uint32_t page);

/* ---- window.c ---- */
void window_init(struct tc *);
void window_set(struct tc *, bool user, uint64_t base);

/* ---- lean.c, lean_system.c: called from enter.S; see there for what they answer ---- */
uint64_t lean_exit(struct tcx *);
uint64_t lean_system(struct tcx *);
uint64_t lean_refill(struct tcx *);
uint64_t lean_check(struct tcx *);

/* ---- lean_fpu.c ---- */
/* What cpu->fx says of code addresses, put into the guest's terms. General registers only. */
void guest_x87_pointers(struct tc *);

/* ---- gear.c ---- */
/* The mode with MODE_LOOKUP added when the user code of `space` runs in that form. */
uint32_t gear_mode(struct tc *, uint32_t mode, unsigned space);
void gear_tick(struct tc *);    /* an interrupt was taken from user code */
void gear_callout(struct tc *); /* look-up code made a callout */
void gear_fault(struct tc *);   /* a user window was filled, or faulted for the guest */
void gear_reset(struct tc *, unsigned space);
/* How its user code runs now, as HISTORY_GEAR tells it. */
unsigned gear_now(const struct tc *, unsigned space);

/* ---- breakpoint.c ---- */
/* Is there one in [lin, lin + len)? len > 0. */
bool breakpoint_in(const struct tc *, uint32_t lin, uint32_t len);

/* ---- translate.c ---- */
/* Translate at lin (already fetched as gpa). 0 when the first instruction must be interpreted instead. */
ccf_id translate(struct tc *, uint32_t lin, uint32_t mode, uint64_t gpa);
/* Is this CCF what translating its instructions at its address gives? False with a description in err. */
bool translate_same(struct tc *, ccf_id, char *err, size_t errlen);

/* ---- find.c ---- */
/* The CCF to run at lin (already fetched as gpa) in the present space and mode; 0 when an instruction must be interpreted instead. */
ccf_id find_code(struct tc *, uint32_t lin, uint64_t gpa);

/* ---- vary.c ---- */
/* A self-checking CCF is not what its source is any more: how is its address to be translated next time? */
void vary_learn(struct tc *, const struct ccf *);

/* ---- callout.c ---- */
uint32_t callout_interp(struct tcx *);
uint32_t callout_check(struct tcx *);
uint32_t callout_refill(struct tcx *);
/* Interpret one instruction at cpu->rip and deliver what comes of it. */
void interpret_here(struct tc *);

/* ---- verify.c ---- */
/* Independent check of emitted code; false with a description in err. */
bool verify_code(const uint8_t *code, size_t len, uint32_t mode, char *err, size_t errlen);
/* The same for code with more rights. */
struct verify_rights {
	ccf_id counter;     /* it counts its entries in the counter of this CCF, once, and in no other; 0: it must not count */
	const void *source; /* it reads these bytes of the guest's (vary.c) */
	size_t source_len;
	ccf_id unit;        /* its exits, and the check of its source, are those of this CCF; 0: any number will do */
};
bool verify_with(const uint8_t *code, size_t len, uint32_t mode, const struct verify_rights *, char *err, size_t errlen);

/* ---- lockstep.c ---- */
struct lockstep *lockstep_create(struct tc *);
void lockstep_destroy(struct lockstep *);
/* Called by the dispatcher around each CCF; compare returns false at a difference. */
void lockstep_before(struct tc *, ccf_id);
bool lockstep_after(struct tc *);

#endif
