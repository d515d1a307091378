/*
 * The verifier: an independent proof that emitted code keeps to its window.
 *
 * Independent means: another decoder (Capstone; the translator has Zydis), no knowledge of what the code was made
 * from, and allowlists. It disassembles linearly from the start of the code to the end of the exit stubs; each instruction
 * must be harmless by itself (verify_insn.c), must stand where the grammar of sequences permits its kind (verify.h), and each
 * branch must lead to the start of an instruction that is not inside a sequence. Then every execution sees the
 * instructions that were looked at, in an order that was looked at.
 *
 * Not proved here: that chaining patches exits correctly, and that the code does what the guest's code does (lockstep.c).
 * One vCPU thread verifies; the decoder's handle is kept.
 */
#include "translator/lean.h"
#include "translator/verify.h"

#include <stdio.h>
#include <string.h>

enum { NOT_A_START = 0, ENTERABLE = 1, INSIDE = 2 };
enum { MAX_BRANCHES = 512 };

struct verifier {
	const uint8_t *code;
	size_t len;
	uint32_t mode;
	cs_insn *in;
	const char *wrong;

	enum kind last;
	uint8_t rebased;   /* USES_*: registers that hold 64-bit addresses now */
	bool rcx_saved;    /* R9 has the guest's ECX */
	bool island;       /* there is a K_ISLAND */
	bool dead;         /* the instruction before was a jump */
	int64_t rcx_zero;  /* where the open JRCXZ leads; -1: none is open */
	bool lookup;       /* that JRCXZ is a look-up's */
	bool look_write;   /* in the table of writable pages */
	unsigned look_size;
	uint32_t word;     /* in R11 */
	uint32_t number;   /* in R9 or R10, set last: of an exit, or of a CCF */
	bool word_set;
	struct verify_rights rights;
	bool counted;

	uint8_t start[CCF_MAX_BYTES];
	struct {
		uint16_t from, to;
	} branch[MAX_BRANCHES];
	unsigned branches;
};

typedef unsigned __int128 kind_set;
#define BIT(k) ((kind_set)1 << (k))
_Static_assert(K_COUNT <= 128, "a bit for each");

/* Kinds that are fine only directly behind certain others, and kinds that call for a certain next one. */
static const struct {
	kind_set after, before;
} grammar[K_COUNT] = {
	[K_SAVE_RSP] = {0, BIT(K_HOST_RSP)},
	[K_HOST_RSP] = {BIT(K_SAVE_RSP), BIT(K_PUSHFQ)},
	[K_PUSHFQ] = {BIT(K_HOST_RSP), BIT(K_POP_R8)},
	[K_POP_R8] = {BIT(K_PUSHFQ), BIT(K_RESTORE_RSP)},
	[K_GUEST_FLAGS] = {0, BIT(K_FIXED_FLAGS)},
	[K_FIXED_FLAGS] = {BIT(K_GUEST_FLAGS), BIT(K_SAVE_RSP_POPF)},
	[K_SAVE_RSP_POPF] = {BIT(K_FIXED_FLAGS), BIT(K_HOST_RSP_POPF)},
	[K_HOST_RSP_POPF] = {BIT(K_SAVE_RSP_POPF), BIT(K_PUSH_R8)},
	[K_PUSH_R8] = {BIT(K_HOST_RSP_POPF), BIT(K_POPFQ)},
	[K_POPFQ] = {BIT(K_PUSH_R8), BIT(K_RESTORE_RSP)},
	[K_RESTORE_RSP] = {BIT(K_POP_R8) | BIT(K_POPFQ), 0},
	[K_WINDOW] = {0, BIT(K_BASE_RSI) | BIT(K_BASE_RDI)},
	[K_BASE_RSI] = {BIT(K_WINDOW), BIT(K_BASE_RDI) | BIT(K_STRING)},
	[K_BASE_RDI] = {BIT(K_WINDOW) | BIT(K_BASE_RSI), BIT(K_STRING)},
	[K_STRING] = {BIT(K_BASE_RSI) | BIT(K_BASE_RDI), BIT(K_CUT_RSI) | BIT(K_CUT_RDI)},
	[K_NEXT_R9] = {BIT(K_IMM_R8), BIT(K_IMM_R10)},
	[K_RETRY_R9] = {0, BIT(K_ACCESS_R10)},
	[K_IMM_R10] = {BIT(K_NEXT_R9), BIT(K_JUMP_CALLOUT) | BIT(K_JUMP_SYSTEM)},
	[K_JUMP_CALLOUT] = {BIT(K_IMM_R10), 0},
	[K_JUMP_SYSTEM] = {BIT(K_IMM_R10), 0},
	[K_ACCESS_R10] = {BIT(K_RETRY_R9), BIT(K_JUMP_REFILL)},
	[K_JUMP_REFILL] = {BIT(K_ACCESS_R10), 0},
	[K_JUMP_TABLE] = {BIT(K_INDEX_R9), 0},
	[K_JUMP_SLOT] = {BIT(K_IMM_R8), 0},
	[K_JUMP_EXIT] = {BIT(K_IMM_R9), 0},
	[K_JUMP_LEAVE] = {BIT(K_IMM_R8), 0},
	[K_JUMP_MISS] = {BIT(K_RESTORE_RCX) | BIT(K_ISLAND), 0},
	[K_ISLAND] = {0, BIT(K_JUMP_MISS)},
	[K_LOOP] = {0, BIT(K_RESTORE_RCX)},
	[K_RDTSC] = {0, BIT(K_TSC_HIGH)},
	[K_SOURCE] = {0, BIT(K_SOURCE_READ)},
	[K_SOURCE_READ] = {BIT(K_SOURCE), 0},
	[K_BOTH_ZERO] = {BIT(K_SAVE_RCX), BIT(K_JRCXZ)},
	[K_PAGE] = {BIT(K_EA), BIT(K_INDEX)},
	[K_INDEX] = {BIT(K_PAGE), BIT(K_LAST_BYTE) | BIT(K_SAVE_RCX_LOOKUP)},
	[K_LAST_BYTE] = {BIT(K_INDEX), BIT(K_LAST_PAGE)},
	[K_LAST_PAGE] = {BIT(K_LAST_BYTE), BIT(K_SAVE_RCX_LOOKUP)},
	[K_SAVE_RCX_LOOKUP] = {BIT(K_INDEX) | BIT(K_LAST_PAGE), BIT(K_TAG)},
	[K_TAG] = {BIT(K_SAVE_RCX_LOOKUP), BIT(K_COMPARE)},
	[K_COMPARE] = {BIT(K_TAG), BIT(K_JRCXZ_LOOKUP)},
	[K_JRCXZ_LOOKUP] = {BIT(K_COMPARE), BIT(K_RESTORE_RCX)},
	[K_HIT] = {0, BIT(K_DELTA)},
	[K_DELTA] = {BIT(K_HIT), BIT(K_TAKE_BACK) | BIT(K_HALVES) | BIT(K_HOST_ACCESS)},
	[K_TAKE_BACK] = {BIT(K_DELTA), BIT(K_HOST_ACCESS)},
	[K_HALVES] = {BIT(K_DELTA), BIT(K_HOST_ACCESS)},
	[K_HOST_ACCESS] = {BIT(K_DELTA) | BIT(K_TAKE_BACK) | BIT(K_HALVES), 0},
	[K_COUNTS] = {0, BIT(K_COUNT_LOAD)},
	[K_COUNT_LOAD] = {BIT(K_COUNTS), BIT(K_COUNT_ADD)},
	[K_COUNT_ADD] = {BIT(K_COUNT_LOAD), BIT(K_COUNT_STORE)},
	[K_COUNT_STORE] = {BIT(K_COUNT_ADD), 0},
};

static bool ends_flow(enum kind k)
{
	return k == K_JUMP || (k >= K_JUMP_TABLE && k <= K_JUMP_REFILL);
}

/* ---------------------------------- sequences ---------------------------------- */

static const char *check_grammar(const struct verifier *v, const struct vinsn *i)
{
	if (grammar[v->last].before && !(grammar[v->last].before & BIT(i->kind)))
		return "sequence broken off";
	if (grammar[i->kind].after && !(grammar[i->kind].after & BIT(v->last)))
		return "outside of its sequence";
	return NULL;
}

static const char *check_rebasing(struct verifier *v, const struct vinsn *i)
{
	switch (i->kind) {
	case K_WINDOW:
		return v->rebased ? "rebased twice" : NULL;
	case K_BASE_RSI:
		v->rebased |= USES_RSI;
		return NULL;
	case K_BASE_RDI:
		v->rebased |= USES_RDI;
		return NULL;
	case K_STRING:
		return v->rebased == i->string ? NULL : "string registers not rebased, or too many of them";
	case K_CUT_RSI:
		v->rebased &= (uint8_t)~USES_RSI;
		return NULL;
	case K_CUT_RDI:
		v->rebased &= (uint8_t)~USES_RDI;
		return NULL;
	default:
		return v->rebased ? "string register left with a host address" : NULL;
	}
}

/* Some kinds are told apart by what stands before them. */
static void refine_kind(const struct verifier *v, struct vinsn *i)
{
	if (i->kind == K_SAVE_RSP && v->last == K_FIXED_FLAGS)
		i->kind = K_SAVE_RSP_POPF;
	else if (i->kind == K_HOST_RSP && v->last == K_SAVE_RSP_POPF)
		i->kind = K_HOST_RSP_POPF;
	else if (i->kind == K_SAVE_RCX && (v->last == K_INDEX || v->last == K_LAST_PAGE))
		i->kind = K_SAVE_RCX_LOOKUP;
	else if (i->kind == K_NEXT_R9 && v->last != K_IMM_R8)
		i->kind = K_RETRY_R9;
	else if (i->kind == K_IMM_R10 && v->last == K_RETRY_R9)
		i->kind = K_ACCESS_R10;
	else if (i->kind == K_TAKE_BACK && v->last != K_DELTA)
		i->kind = K_PLAIN;
	else if (v->last == K_DELTA && v->in->size == 2 && v->in->bytes[0] == 0x86 && v->in->bytes[1] >= 0xc0)
		i->kind = K_HALVES;
	else if (i->kind == K_JRCXZ && v->last == K_COMPARE)
		i->kind = K_JRCXZ_LOOKUP;
	else if (i->kind == K_RESTORE_RCX && v->lookup && v->dead && v->rcx_zero == (int64_t)v->in->address)
		i->kind = K_HIT;
	else if (i->kind == K_RESTORE_RCX && v->in->address == 0)
		i->kind = K_ISLAND;
	else if (i->kind == K_COUNT_ADD && v->last != K_COUNT_LOAD)
		i->kind = K_PLAIN;
}

/* The access must lie within the bytes, and have the right, that were looked up. */
static const char *check_lookup(struct verifier *v, const struct vinsn *i)
{
	switch (i->kind) {
	case K_INDEX:
		v->look_size = 1;
		return NULL;
	case K_TAG:
		v->look_write = i->writes;
		return NULL;
	case K_DELTA:
		return i->writes == v->look_write ? NULL : "address from another table than was looked in";
	case K_LAST_BYTE:
		v->look_size = i->size;
		return NULL;
	case K_HOST_ACCESS:
		if (i->size == 0 || i->size > v->look_size)
			return "wider than what was looked up";
		return i->writes && !v->look_write ? "write to a page looked up for reading" : NULL;
	default:
		return NULL;
	}
}

/* Operations that the lean path has, with registers that there are. */
static bool known_word(uint32_t word)
{
	switch (LEAN_OP(word)) {
	case LEAN_MOV_SEG:
		return LEAN_SEG(word) <= S_GS && LEAN_REG(word) < 8;
	case LEAN_LOAD_SEG:
	case LEAN_POP_SEG:
	case LEAN_PUSH_SEG:
		return LEAN_SEG(word) <= S_GS;
	case LEAN_WRITE_CR:
		return LEAN_REG(word) < 8;
	default:
		return LEAN_OP(word) < LEAN_OPS;
	}
}

/* C takes what is asked of it from R11: it must be a constant, and one that makes sense. */
static const char *check_word(struct verifier *v, const struct vinsn *i)
{
	bool had = v->word_set;

	switch (i->kind) {
	case K_IMM_R11:
		v->word = i->imm;
		v->word_set = true;
		return NULL;
	case K_IMM_R8:
	case K_NEXT_R9:
	case K_RETRY_R9:
	case K_IMM_R10:
	case K_ACCESS_R10:
		return NULL;
	default:
		v->word_set = false;
	}
	if (i->kind == K_JUMP_SYSTEM)
		return had && known_word(v->word) ? NULL : "no known operation of the lean path";
	return i->kind == K_JUMP_REFILL && !had ? "look-up that missed without its EIP" : NULL;
}

/* Entries are counted once, each CCF's in its own counter. */
static const char *check_counting(struct verifier *v, const struct vinsn *i)
{
	switch (i->kind) {
	case K_COUNTS:
		if (!v->rights.counter)
			return "counts, which it should not";
		if (v->counted)
			return "counts twice";
		v->counted = true;
		return NULL;
	case K_COUNT_LOAD:
	case K_COUNT_STORE:
		return i->counter == v->rights.counter ? NULL : "somebody else's counter";
	default:
		return NULL;
	}
}

/* C believes these numbers. */
static const char *check_numbers(struct verifier *v, const struct vinsn *i)
{
	ccf_id unit = v->rights.unit;

	if (i->kind == K_IMM_R9 || i->kind == K_IMM_R10)
		v->number = i->imm;
	if (unit && i->kind == K_JUMP_EXIT && (!v->number || exit_ccf(v->number) != unit))
		return "somebody else's exit";
	if (unit && i->check && v->number != unit)
		return "checks somebody else's source";
	return NULL;
}

/* Of the guest's memory at host addresses, a unit may read what it was made from. */
static const char *check_source(const struct verifier *v, const struct vinsn *i)
{
	const struct verify_rights *r = &v->rights;

	if (i->kind == K_SOURCE && (!r->source || (uint64_t)i->source != (uintptr_t)r->source))
		return "address that is not its source's";
	if (i->kind == K_SOURCE_READ &&
	    (i->source < 0 || !i->size || (uint64_t)i->source + i->size > r->source_len))
		return "reads beside its source";
	return NULL;
}

/* While R9 holds the guest's ECX nothing may fault, branch elsewhere, or touch R9. */
static const char *check_while_saved(const struct vinsn *i)
{
	if (i->guest_memory)
		return "guest memory touched while ECX is borrowed";
	if (i->writes_r9)
		return "R9 overwritten while it holds ECX";
	if (i->kind == K_JCC || i->kind == K_JUMP || i->kind == K_JUMP_CALLOUT || i->kind == K_JUMP_SYSTEM ||
	    i->kind == K_JUMP_TABLE ||
	    i->kind == K_JUMP_SLOT || i->kind == K_JUMP_EXIT || i->kind == K_JUMP_REFILL)
		return "branch while ECX is borrowed";
	return NULL;
}

static const char *open_jrcxz(struct verifier *v, const struct vinsn *i)
{
	if (!v->rcx_saved || v->rcx_zero >= 0)
		return "JRCXZ without ECX saved";
	if (i->target <= (int64_t)v->in->address)
		return "JRCXZ backwards";
	v->rcx_zero = i->target;
	v->lookup = i->kind == K_JRCXZ_LOOKUP;
	return NULL;
}

static const char *check_loop(const struct verifier *v, const struct vinsn *i)
{
	if (!v->rcx_saved || v->rcx_zero >= 0)
		return "LOOP by RCX without ECX saved";
	return v->island && i->target == 0 ? NULL : "LOOP by RCX that does not lead to restoring it";
}

static const char *check_borrowed_rcx(struct verifier *v, const struct vinsn *i)
{
	int64_t here = (int64_t)v->in->address;

	if (v->rcx_zero >= 0 && here > v->rcx_zero)
		return "JRCXZ into an instruction";
	if (here == v->rcx_zero) {
		if (i->kind != (v->lookup ? K_HIT : K_RESTORE_RCX) || (!v->dead && !v->rcx_saved))
			return "JRCXZ does not lead to restoring ECX";
		v->rcx_zero = -1;
		v->rcx_saved = v->lookup = false;
		return NULL;
	}
	if (v->dead && v->rcx_zero >= 0)
		return "code that cannot be reached while ECX is borrowed";
	if (i->kind == K_SAVE_RCX || i->kind == K_SAVE_RCX_LOOKUP) {
		if (v->rcx_saved || v->rcx_zero >= 0)
			return "ECX saved twice";
		v->rcx_saved = true;
		return NULL;
	}
	if (i->kind == K_JRCXZ || i->kind == K_JRCXZ_LOOKUP)
		return open_jrcxz(v, i);
	if (i->kind == K_LOOP)
		return check_loop(v, i);
	v->island |= i->kind == K_ISLAND;
	if (i->kind == K_RESTORE_RCX) {
		if (!v->rcx_saved)
			return "ECX restored without having been saved";
		v->rcx_saved = false;
		return NULL;
	}
	if (v->rcx_saved && ends_flow(i->kind))
		return "leaves while ECX is borrowed";
	return v->rcx_saved ? check_while_saved(i) : NULL;
}

/* May a branch lead here? Not behind the first instruction of a sequence. */
static void mark_start(struct verifier *v, const struct vinsn *i)
{
	bool borrowed = v->rcx_saved || v->rcx_zero >= 0;
	bool inside = grammar[i->kind].after || grammar[v->last].before || borrowed || v->rebased || v->word_set ||
		      i->kind == K_ISLAND;

	v->start[v->in->address] = inside ? INSIDE : ENTERABLE;
}

/* ---------------------------------- branches ---------------------------------- */

static const char *record_branch(struct verifier *v, const struct vinsn *i)
{
	if (i->kind != K_JUMP && i->kind != K_JCC && i->kind != K_NEXT_R9 && i->kind != K_RETRY_R9)
		return NULL; /* JRCXZ and LOOP by RCX are a matter of check_borrowed_rcx */
	if (i->target < 0 || i->target >= (int64_t)v->len)
		return "branch out of the code";
	if (v->branches == MAX_BRANCHES)
		return "too many branches";
	v->branch[v->branches].from = (uint16_t)v->in->address;
	v->branch[v->branches++].to = (uint16_t)i->target;
	return NULL;
}

static bool check_targets(struct verifier *v, char *err, size_t errlen)
{
	for (unsigned n = 0; n < v->branches; n++) {
		if (v->start[v->branch[n].to] == ENTERABLE)
			continue;
		snprintf(err, errlen, "+%#x: branch to +%#x, which is %s", v->branch[n].from, v->branch[n].to,
			 v->start[v->branch[n].to] == INSIDE ? "inside a sequence" : "not an instruction");
		return false;
	}
	return true;
}

/* ---------------------------------- the pass ---------------------------------- */

static const char *check_one(struct verifier *v)
{
	struct vinsn i;
	const char *wrong = verify_insn(v->in, v->mode, &i);

	if (!wrong) {
		refine_kind(v, &i);
		mark_start(v, &i);
	}
	if (!wrong)
		wrong = check_grammar(v, &i);
	if (!wrong)
		wrong = check_rebasing(v, &i);
	if (!wrong)
		wrong = check_lookup(v, &i);
	if (!wrong)
		wrong = check_word(v, &i);
	if (!wrong)
		wrong = check_counting(v, &i);
	if (!wrong)
		wrong = check_source(v, &i);
	if (!wrong)
		wrong = check_numbers(v, &i);
	if (!wrong)
		wrong = check_borrowed_rcx(v, &i);
	if (!wrong)
		wrong = record_branch(v, &i);
	v->last = i.kind;
	v->dead = ends_flow(i.kind);
	return wrong;
}

static const char *check_end(const struct verifier *v)
{
	if (!v->dead)
		return "runs off its end";
	if (v->rcx_zero >= 0 || v->rcx_saved || v->rebased)
		return "ends within a sequence";
	if (v->rights.counter && !v->counted)
		return "does not count";
	return NULL;
}

static csh decoder(cs_insn **in)
{
	static csh handle;
	static cs_insn *insn;

	if (!insn && cs_open(CS_ARCH_X86, CS_MODE_64, &handle) == CS_ERR_OK) {
		cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
		insn = cs_malloc(handle);
	}
	*in = insn;
	return handle;
}

static bool refuse(const struct verifier *v, bool decoded, char *err, size_t errlen)
{
	const cs_insn *in = v->in;
	int n;

	if (!decoded) {
		snprintf(err, errlen, "cannot be decoded");
		return false;
	}
	n = snprintf(err, errlen, "+%#x: %s %s (", (unsigned)in->address, in->mnemonic, in->op_str);
	for (unsigned i = 0; i < in->size && n > 0 && (size_t)n < errlen; i++)
		n += snprintf(err + n, errlen - (size_t)n, "%s%02x", i ? " " : "", in->bytes[i]);
	if (n > 0 && (size_t)n < errlen)
		snprintf(err + n, errlen - (size_t)n, "): %s", v->wrong);
	return false;
}

bool verify_code(const uint8_t *code, size_t len, uint32_t mode, char *err, size_t errlen)
{
	static const struct verify_rights none = {0};

	return verify_with(code, len, mode, &none, err, errlen);
}

bool verify_with(const uint8_t *code, size_t len, uint32_t mode, const struct verify_rights *rights, char *err, size_t errlen)
{
	static struct verifier v;
	const uint8_t *p = code;
	size_t left = len;
	uint64_t at = 0;
	csh handle;

	memset(&v, 0, sizeof(v));
	v = (struct verifier){.code = code, .len = len, .mode = mode, .rcx_zero = -1,
				.rights = *rights};
	handle = decoder(&v.in);
	if (!v.in || len == 0 || len > CCF_MAX_BYTES) {
		snprintf(err, errlen, v.in ? "code of %zu bytes" : "no decoder (%zu)", len);
		return false;
	}
	while (left && cs_disasm_iter(handle, &p, &left, &at, v.in)) {
		v.wrong = check_one(&v);
		if (v.wrong)
			return refuse(&v, true, err, errlen);
	}
	if (left) {
		snprintf(err, errlen, "+%#x: bytes %02x %02x %02x... are no instruction", (unsigned)at, p[0],
			 left > 1 ? p[1] : 0, left > 2 ? p[2] : 0);
		return false;
	}
	v.wrong = check_end(&v);
	if (v.wrong)
		return refuse(&v, true, err, errlen);
	return check_targets(&v, err, errlen);
}
