/*
 * A translation unit being made: planned (decoded, bounded), then emitted. The emitters are split by
 * what they translate: xl_mem.c, xl_stack.c, xl_flow.c, xl_string.c, xl_system.c.
 */
#ifndef RINGFENCE_TRANSLATOR_TU_H
#define RINGFENCE_TRANSLATOR_TU_H

#include "translator/classify.h"
#include "translator/move.h"

/* A look-up that missed: where it jumps from, where its instruction begins, and what is asked (lean.h). */
struct tu_miss {
	size_t jump, start;
	uint32_t eip, access;
};
enum { MISS_BYTES = 23 }; /* of its stub */

struct tu {
	struct tc *tc;
	uint32_t mode;
	uint32_t lin;
	uint64_t gpa, gpa2;
	ccf_id id;
	struct emit e;
	unsigned n;           /* instructions planned */
	unsigned done;        /* index of the one being emitted */
	bool ended;           /* the last instruction leaves the unit by itself */
	bool side_effect;
	const struct ccf_insn *known; /* its map, when it is made again to compare; else null */
	uint8_t thunk;        /* it is a thunk (thunk.c) for this register, plus one */
	uint8_t needs;        /* as in struct ccf */
	uint32_t thunk_ahead;
	bool selfcheck;
	uint64_t vary;        /* instructions that load their immediates (vary.c) */
	const void *source;   /* then: where the host has the unit's bytes */
	bool hinted;          /* there may be forms learnt for its instructions */
	uint32_t end;         /* EIP after the last instruction */
	uint8_t entry;        /* offset of the direct entry */
	uint8_t island;       /* bytes before the indirect entry */
	uint8_t counting;     /* bytes there that count the entry */
	size_t count_at;      /* of the instruction count, when that is on; since instruction `count_from` */
	unsigned count_from;
	size_t start;         /* where the instruction being emitted begins */
	uint8_t looked;       /* its look-ups: bit 0 one to read, bit 1 one to write */
	unsigned misses;
	struct tu_miss miss[2 * CCF_MAX_INSNS];
	struct ccf_exit exit[CCF_EXITS];
	unsigned exits;
	int32_t pending;      /* guest's ESP less the host's (esp.c) */
	unsigned branches;    /* conditional branches planned, behind each of which the unit goes on or ends */
	unsigned limit;       /* plan at most so many instructions */
	bool fixed;           /* cannot be moved: depends on its address in another way than by `field` */
	unsigned fields;
	uint16_t field[MOVE_FIELDS]; /* move.h */
	struct ccf_insn map[CCF_MAX_INSNS];
	struct tinsn insn[CCF_MAX_INSNS];
	uint8_t crossing[32]; /* bytes of an instruction that spans two pages */
	uint8_t code[CCF_MAX_BYTES];
};

/* The last four bytes emitted depend on the unit's linear address. */
static inline void move_mark(struct tu *u, enum move_kind kind)
{
	if (u->fields == MOVE_FIELDS)
		u->fixed = true;
	else
		u->field[u->fields++] = (uint16_t)((unsigned)kind << MOVE_KIND_SHIFT | (unsigned)(u->e.len - 4));
}

/*
 * Emitters: false means that this one instruction cannot be expanded here (odd segment,
 * register conflict, ...) and nothing was emitted; the caller has it interpreted.
 */
typedef bool xl_fn(struct tu *, const struct tinsn *);
xl_fn xl_ident, xl_lea, xl_mov, xl_xlat;
xl_fn xl_push, xl_pop, xl_pusha, xl_popa, xl_leave, xl_pushf;
xl_fn xl_call, xl_jmp, xl_ret, xl_jcc, xl_loop;
xl_fn xl_string;
xl_fn xl_cli, xl_sti, xl_rdtsc;
xl_fn xl_mov_control, xl_clts, xl_invlpg, xl_fxstate, xl_port;
xl_fn xl_mov_to_segment, xl_pop_segment, xl_popf, xl_iret, xl_int, xl_sysenter, xl_sysexit;

/*
 * Call C by way of a stub (enter.S): EIP in R8, `arg` in R10 (an address of the guest's code, for TCX_STUB_CHECK a CCF). It comes back to the place that emit_patch32(result) is given.
 */
size_t xl_callout(struct tu *, uint32_t eip, uint32_t arg, int32_t stub);
/* Interpret this instruction, then go on behind it: at the place that emit_patch32(result) is given. */
size_t xl_interpret(struct tu *, const struct tinsn *);
/* Done by the lean path (lean.h says what `word` means), interpreted when that declines; then on behind it. */
bool xl_lean(struct tu *, const struct tinsn *, uint32_t word);
/* It comes back to the place that emit_patch32(result) is given. */
size_t xl_lean_call(struct tu *, const struct tinsn *, uint32_t word);
/* Immediates as data (vary.c): can the instruction do that, how it does, and the unit's comparison of its other bytes. */
bool vary_possible(const struct tinsn *);
xl_fn xl_varying;
void xl_vary_check(struct tu *);
/* Leave for the dispatcher at `eip`. */
void xl_leave_tc(struct tu *, uint32_t eip);

/*
 * The instruction's memory operand as translated code may use it in window form: segment base applied (may use R8 and R9). False:
 * the segment is not flat in this mode.
 */
bool xl_mem(struct tu *, const struct tinsn *, struct xmem *);
bool xl_segment_flat(const struct tu *, unsigned seg);
bool xl_stack_flat(const struct tu *);
/* FS or GS: put the segment's base into the operand (may use R8 and R9). */
bool xl_add_base(struct tu *, unsigned seg, struct xmem *);
/*
 * The linear address of the memory operand goes to tcx.tmp, for the lean path. False: its segment is not flat.
 */
bool xl_address_to_tmp(struct tu *, const struct tinsn *);
/* A stack access at [base + disp] of `size` bytes, in the instruction's form. */
bool xl_stack_mem(struct tu *, const struct tinsn *, unsigned base, int32_t disp, unsigned size,
		  bool write, struct xmem *);

/*
 * Look-up form (xl_lookup.c): the operand as [R10 + R8] in host memory, with R9 and R11 free. An instruction may have one to read and
 * one to write; false for more. A look-up uses all of R8-R11: what must outlive the second is put aside.
 */
bool xl_lookup(struct tu *, const struct tinsn *, struct xmem *);
bool xl_lookup_at(struct tu *, const struct tinsn *, struct xmem guest, unsigned size, bool write,
		  struct xmem *);
void xl_put_aside(struct tu *, unsigned reg);
void xl_take_back(struct tu *, unsigned reg);
/* Where look-ups that miss go. */
void xl_miss_stubs(struct tu *);
/* Does the host have what the look-up form needs? */
bool xl_lookup_possible(void);
/* May entries use LOOP? */
bool xl_loop_cheap(void);

/* esp.c: have ESP be the guest's; unless the next instruction is one that can wait; MOV from ESP while it is not. */
void esp_settle(struct tu *);
void esp_before_next(struct tu *);
bool esp_copy(struct tu *, const struct tinsn *);
/* Direct exit to `target`: emits the jump; conditional when cc < 16. */
enum { CC_ALWAYS = 16 };
void xl_exit(struct tu *, unsigned cc, uint32_t target);
/* thunk.c: calls of functions that load their return address, and these functions. */
enum { THUNK_INSNS = 2, THUNK_BYTES = 4 }; /* mov r32, [esp]; ret */
int thunk_called(const struct tu *, const struct tinsn *);      /* tinsn.thunk; -1: it cannot be told yet */
unsigned thunk_unit(const struct tu *);                         /* tu.thunk */
/* Indirect exit: R8D holds the target. */
void xl_exit_indirect(struct tu *);
/* The stubs that exits use until they are chained. */
void xl_exit_stubs(struct tu *);
/* Indirect-entry prologue; sets tu->entry and tu->island. */
void xl_prologue(struct tu *);

#endif
