/*
 * From guest code to a CCF: plan, emit, publish.
 *
 * Planning decodes up to a branch that ends the unit (goes_on), the page, or the size limit; it may fail. Emitting only writes
 * into the unit's buffer. Publishing puts the result into the TC and the tables and
 * write-protects its source; it does not fail.
 */
#include "translator/counts.h"
#include "translator/disasm.h"
#include "translator/symbols.h"
#include "translator/translog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

static const struct {
	xl_fn *fn;
	bool ends;
} emitters[] = {
	[ACT_INTERPRET] = {NULL, false}, [ACT_IDENT] = {xl_ident, false},
	[ACT_LEA] = {xl_lea, false},     [ACT_PUSH] = {xl_push, false},
	[ACT_POP] = {xl_pop, false},     [ACT_PUSHA] = {xl_pusha, false},
	[ACT_POPA] = {xl_popa, false},   [ACT_LEAVE] = {xl_leave, false},
	[ACT_PUSHF] = {xl_pushf, false}, [ACT_CALL] = {xl_call, true},
	[ACT_JMP] = {xl_jmp, true},      [ACT_RET] = {xl_ret, true},
	[ACT_JCC] = {xl_jcc, true},      [ACT_LOOP] = {xl_loop, true},
	[ACT_STRING] = {xl_string, false}, [ACT_CLI] = {xl_cli, false},
	[ACT_STI] = {xl_sti, false},     [ACT_RDTSC] = {xl_rdtsc, false},
	[ACT_MOV] = {xl_mov, false},     [ACT_XLAT] = {xl_xlat, false},
	[ACT_POPF] = {xl_popf, false},   [ACT_IRET] = {xl_iret, true},
	[ACT_INT] = {xl_int, true},      [ACT_SYSENTER] = {xl_sysenter, true},
	[ACT_SYSEXIT] = {xl_sysexit, true}, [ACT_CLTS] = {xl_clts, false},
	[ACT_INVLPG] = {xl_invlpg, false}, [ACT_FXSTATE] = {xl_fxstate, false},
	[ACT_PORT] = {xl_port, false},
	[ACT_LEAVE_TC] = {NULL, true},   [ACT_NOP] = {NULL, false},
};

/* ------------------------------------ plan ------------------------------------ */

/* Does it need the FPU or SSE unit to be on? */
static bool uses_vector_state(const struct tinsn *t)
{
	switch (t->z.mnemonic) {
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
		return false;
	default:
		return t->z.meta.isa_ext != ZYDIS_ISA_EXT_BASE && t->z.meta.isa_ext != ZYDIS_ISA_EXT_PAUSE;
	}
}

/* Is the unit on that it needs? Ring 0's modes claim that SSE is on (mode_sse) until they have been found to need it. */
static bool unit_on(struct tu *u, const struct tinsn *t)
{
	ZydisISAExt ext = t->z.meta.isa_ext;

	if (ext == ZYDIS_ISA_EXT_X87 || ext == ZYDIS_ISA_EXT_MMX)
		return u->mode & MODE_FPU;
	if (!(u->mode & MODE_SSE) || !(u->tc->cpu->cr4 & CR4_OSFXSR))
		return false;
	if (u->mode & MODE_CPL0)
		mode_ring0_sse = true;
	return true;
}

static void restrict_action(struct tu *u, struct tinsn *t)
{
	enum form learnt;

	t->form = FORM_WINDOW;
	if (t->action == ACT_NOP)
		return;
	if (t->action == ACT_IDENT && !classify_isa_allowed(u->tc->cpu->model, &t->z))
		t->action = ACT_INTERPRET;
	if (t->action == ACT_IDENT && uses_vector_state(t) && !unit_on(u, t))
		t->action = ACT_INTERPRET;
	t->form = u->mode & MODE_LOOKUP ? FORM_LOOKUP : FORM_WINDOW;
	learnt = u->hinted ? hint_form(u->tc, hint_place(u->mode, t->eip, u->gpa + (t->eip - u->lin))) : FORM_WINDOW;
	if (learnt != FORM_WINDOW)
		t->form = learnt;
}

/* Instructions whose effect or result differs each time they run: lockstep runs them alone. */
static bool side_effect(const struct tinsn *t)
{
	switch (t->z.mnemonic) {
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDMSR:
	case ZYDIS_MNEMONIC_WRMSR:
	case ZYDIS_MNEMONIC_HLT:
		return true;
	default:
		return t->why == WHY_IO;
	}
}

/*
 * In lockstep these begin a unit. Instructions that store the x87 instruction pointer: translated code keeps none (processors
 * do not save it without an exception), the interpreter does; they agree on what came from before the unit.
 */
static bool starts_unit(const struct tinsn *t)
{
	return side_effect(t) || t->why == WHY_POINTERS;
}

static bool writes_memory(const struct tinsn *t)
{
	/* close enough for self-checking units, which end at the first possible write */
	return t->has_mem || t->action == ACT_PUSH || t->action == ACT_PUSHA || t->action == ACT_PUSHF ||
	       t->action == ACT_STRING || t->action == ACT_INTERPRET;
}

/*
 * Behind a conditional branch the unit goes on with what comes next: code that is laid out in one piece needs no jump, no second
 * entry, and less of the host's caches. Not behind one that goes back, which is a loop's end and mostly taken.
 * Calls of thunks (thunk.c) come to nothing.
 */
static bool goes_on(struct tu *u, const struct tinsn *t)
{
	enum { LAST_NEEDS = 2 };

	if (t->thunk)
		return true;
	return t->action == ACT_JCC && !tinsn_op16(t) && t->z.raw.imm[0].value.s > 0 &&
	       ++u->branches <= CCF_EXITS - LAST_NEEDS && !counts_on(u->tc);
}

static bool plan_ends(struct tu *u, const struct tinsn *t)
{
	return (emitters[t->action].ends && !goes_on(u, t)) || (u->selfcheck && writes_memory(t)) ||
	       (u->side_effect && u->tc->config.lockstep);
}

/* The first instruction spans two pages: put its bytes together. */
static const uint8_t *crossing_bytes(struct tu *u, const uint8_t *first, size_t n, size_t *max)
{
	gpa_t second;
	const uint8_t *more;

	if (mmu_track_code(u->tc->mmu, u->mode & MODE_USER, gva((uint32_t)(u->lin + n)), &second) != OUT_OK)
		return NULL;
	more = physmap_host(u->tc->pm, second, 16);
	if (!more)
		return NULL;
	memcpy(u->crossing, first, n);
	memcpy(u->crossing + n, more, 15);
	u->gpa2 = second.v;
	*max = 15;
	return u->crossing;
}

static bool plan(struct tu *u)
{
	size_t room = PAGE_SIZE - (u->lin & PAGE_MASK), max;
	const uint8_t *page = physmap_host(u->tc->pm, gpa(u->gpa), room);
	uint32_t eip = u->lin;

	if (!page)
		return false;
	while (u->n < u->limit) {
		struct tinsn *t = &u->insn[u->n];
		size_t off = eip - u->lin;
		const uint8_t *bytes = page + off;
		bool ok;
		int thunk;

		if (off >= room || (u->n && breakpoint_in(u->tc, eip, 1)))
			break;
		max = room - off < 15 ? room - off : 15;
		ok = decode(t, bytes, max, eip);
		if (!ok && u->n)
			break;
		if (!ok && max < 15 && (bytes = crossing_bytes(u, bytes, max, &max)))
			ok = decode(t, bytes, max, eip);
		if (!ok)
			return false;
		restrict_action(u, t);
		thunk = u->known ? u->known[u->n].flags >> INSN_THUNK_SHIFT : thunk_called(u, t);
		if (thunk < 0 && u->n)
			break;
		if (thunk < 0)
			return false;
		t->thunk = thunk & 0xf;
		if (t->thunk) {
			u->needs = t->thunk;
			u->thunk_ahead = tinsn_target(t) - u->lin;
		}
		/* `source` is one page: an interrupt may have come since vary_learn, and put something longer there */
		t->varies = u->gpa2 == ~0ull && (u->vary >> u->n & 1) && vary_possible(t);
		if (u->n && u->tc->config.lockstep && starts_unit(t))
			break;
		u->side_effect |= side_effect(t);
		u->n++;
		eip = t->next;
		u->ended = emitters[t->action].ends;
		if (plan_ends(u, t) || u->gpa2 != ~0ull)
			break;
	}
	u->end = eip;
	return u->n > 0;
}

/* ------------------------------------ emit ------------------------------------ */

static void emit_insn(struct tu *u, const struct tinsn *t)
{
	xl_fn *fn = emitters[t->action].fn;
	size_t start = u->e.len, back;
	unsigned fields = u->fields;
	unsigned misses = u->misses, exits = u->exits;
	int32_t pending = u->pending;
	struct tinsn moved;

	if (t->action == ACT_NOP || esp_copy(u, t))
		return;
	if (pending && t->has_mem && t->mem.base == H_RSP) {
		moved = *t;
		moved.mem.disp = (int32_t)((uint32_t)moved.mem.disp + (uint32_t)pending);
		t = &moved;
	}
	u->start = start;
	u->looked = 0;
	if (t->action == ACT_STI && u->done == u->n - 1)
		fn = NULL; /* its shadow reaches into the next unit: leave with the shadow set */
	if (t->varies)
		fn = xl_varying;
	if (fn && t->form != FORM_CALLOUT && fn(u, t))
		return;
	u->e.len = start;
	u->fields = fields;
	u->exits = exits;
	u->misses = misses;
	u->pending = pending;
	esp_settle(u);
	u->map[u->done].words = 0; /* nor does it fault any more */
	back = xl_interpret(u, t);
	emit_patch32(&u->e, back, u->e.len);
	if (emitters[t->action].ends)
		xl_leave_tc(u, t->next);
}

/* The instructions from here to the next branch are counted together; how many, count_end knows. */
static void count_begin(struct tu *u, unsigned from)
{
	if (!u->tc->config.count)
		return;
	emit_load64(&u->e, H_R8, tcx_mem(TCX_COUNT));
	emit_lea64(&u->e, H_R8, (struct xmem){H_R8, H_NONE, 1, false, 1});
	u->count_at = u->e.len - 1;
	u->count_from = from;
	emit_rm(&u->e, 0x89 | X_W, H_R8, tcx_mem(TCX_COUNT));
}

static void count_end(struct tu *u, unsigned insns)
{
	if (u->tc->config.count)
		emit_patch8(&u->e, u->count_at, u->count_at + 1 + insns);
}

static void emit_selfcheck(struct tu *u)
{
	size_t back = xl_callout(u, u->lin, u->id, TCX_STUB_CHECK);

	emit_patch32(&u->e, back, u->e.len);
}

/* Expansions are short but for chains of look-ups: when the buffer is nearly full, this instruction is the last. */
static void cut_when_full(struct tu *u)
{
	enum { ONE_INSTRUCTION = 512, EXITS = 32 * CCF_EXITS };
	const struct tinsn *t = &u->insn[u->done];

	if (u->e.len + u->misses * MISS_BYTES + ONE_INSTRUCTION + EXITS <= sizeof(u->code))
		return;
	u->n = u->done + 1;
	u->ended = emitters[t->action].ends;
	u->end = t->next;
}

static void emit_unit(struct tu *u)
{
	u->thunk = (uint8_t)thunk_unit(u);
	u->pending = 0;
	xl_prologue(u);
	counts_emit(u);
	if (u->vary)
		xl_vary_check(u);
	else if (u->selfcheck)
		emit_selfcheck(u);
	count_begin(u, 0);
	for (u->done = 0; u->done < u->n; u->done++) {
		size_t start = u->done ? u->e.len : u->entry;

		cut_when_full(u);
		u->map[u->done].words = (int8_t)(u->pending / 4);
		emit_insn(u, &u->insn[u->done]);
		esp_before_next(u);
		if (emitters[u->insn[u->done].action].ends && u->done + 1 < u->n) {
			count_end(u, u->done + 1 - u->count_from);
			count_begin(u, u->done + 1 - (u->insn[u->done].thunk ? THUNK_INSNS : 0));
		}
		u->map[u->done].host = (uint16_t)(u->e.len - start);
		u->map[u->done].guest = u->insn[u->done].z.length;
		u->map[u->done].flags = u->insn[u->done].varies ? INSN_VARIES : 0;
		if (u->insn[u->done].form == FORM_LOOKUP && !(u->mode & MODE_LOOKUP))
			u->map[u->done].flags |= INSN_LEARNT;
		u->map[u->done].flags |= (uint8_t)(u->insn[u->done].thunk << INSN_THUNK_SHIFT);
	}
	count_end(u, u->n - u->count_from);
	if (!u->ended)
		xl_exit(u, CC_ALWAYS, u->end);
	xl_exit_stubs(u);
	xl_miss_stubs(u);
}

/* ----------------------------------- publish ----------------------------------- */

static void fill_record(struct tu *u, struct ccf *c, uint32_t off)
{
	const uint8_t *src = u->gpa2 != ~0ull ? u->crossing :
					       physmap_host(u->tc->pm, gpa(u->gpa), u->end - u->lin);

	c->gpa = u->gpa;
	c->gpa2 = u->gpa2 == ~0ull ? ~0ull : u->gpa2 & ~(uint64_t)PAGE_MASK;
	c->lin = u->lin;
	c->mode = u->mode;
	c->host = off + u->entry;
	c->entry = u->entry;
	c->island = u->island;
	c->thunk = u->thunk & 0xf;
	c->needs = u->needs & 0xf;
	c->thunk_ahead = u->thunk_ahead;
	c->counting = u->counting;
	c->host_len = (uint16_t)u->e.len;
	c->guest_len = (uint16_t)(u->end - u->lin);
	c->insns = (uint8_t)u->n;
	c->flags = (uint8_t)((u->gpa2 != ~0ull ? CCF_CROSSING : 0) | (u->selfcheck ? CCF_SELFCHECK : 0) |
			     (u->side_effect ? CCF_SIDE_EFFECT : 0) | (u->fixed ? CCF_FIXED : 0) |
			     (u->vary ? CCF_VARIES : 0));
	c->fields = (uint8_t)u->fields;
	if (!u->selfcheck || (c->flags & CCF_CROSSING))
		c->hash = code_hash(src, c->guest_len);
	memcpy(c->exit, u->exit, sizeof(c->exit));
	c->map = (off + (uint32_t)u->e.len + 3) & ~3u;
}

/* Whoever reports it gets the code, too: it is nowhere else. */
static void tell_refusal(const struct tu *u, const char *err)
{
	char *text = NULL;
	size_t size;
	FILE *f = u->tc->ops.failed ? open_memstream(&text, &size) : NULL;

	if (!f)
		return;
	fprintf(f, "translation at %#x, mode %x: %s\nguest:\n", u->lin, u->mode, err);
	for (unsigned i = 0; i < u->n; i++)
		disasm_print(f, "  ", false, u->insn[i].bytes, u->insn[i].z.length, u->insn[i].eip);
	fputs("host:\n", f);
	disasm_print(f, "  ", true, u->code, u->e.len, 0);
	fclose(f);
	u->tc->ops.failed(u->tc->ops.ctx, "the verifier refused a translation", text);
	free(text);
}

/* What fails is never run: a debug build stops, any other has the instruction interpreted. */
static bool verify_unit(struct tu *u)
{
	const struct verify_rights rights = {u->counting ? u->id : 0, u->vary ? u->source : NULL, u->end - u->lin, u->id};
	char err[512];

	if (!u->tc->config.verify || verify_with(u->code, u->e.len, u->mode, &rights, err, sizeof(err)))
		return true;
	fprintf(stderr, "ringfence: translation at %#x failed verification: %s\n", u->lin, err);
	tell_refusal(u, err);
#ifdef RINGFENCE_DEBUG
	abort();
#endif
	return false;
}

static ccf_id publish(struct tu *u)
{
	struct tc *tc = u->tc;
	size_t map_bytes = u->n * sizeof(u->map[0]), field_bytes = u->fields * sizeof(u->field[0]);
	size_t source_bytes = u->selfcheck && u->gpa2 == ~0ull ? u->end - u->lin : 0;
	uint32_t off = cache_reserve(tc, u->id, u->e.len + 3 + map_bytes + field_bytes + source_bytes);
	struct ccf *c = ccf_of(tc, u->id);

	fill_record(u, c, off);
	cache_write(tc, off, u->code, u->e.len);
	cache_write(tc, c->map, u->map, map_bytes);
	cache_write(tc, c->map + (uint32_t)map_bytes, u->field, field_bytes);
	if (source_bytes)
		cache_write(tc, c->map + (uint32_t)(map_bytes + field_bytes), physmap_host(tc->pm, gpa(u->gpa), source_bytes),
			    source_bytes);
	ccf_insert(tc, u->id);
	symbols_add(tc, u->id);
	if (log_on(LOG_IN_ASM | LOG_OP | LOG_OUT_ASM))
		translog_unit(u);
	tc->stats.translations++;
	tc->history->sample[u->id] = 0;
	counts_clear(tc, u->id);
	history_note(tc->history, HISTORY_TRANSLATE, u->lin, u->mode, u->n);
	tc->stats.guest_instructions += u->n;
	tc->stats.guest_bytes += u->end - u->lin;
	tc->stats.host_bytes += u->e.len;
	return u->id;
}

static struct tu *unit_for(struct tc *tc, uint32_t lin, uint32_t mode, uint64_t gpa_)
{
	static struct tu unit; /* large; one vCPU thread translates */
	struct tu *u = &unit;

	u->tc = tc;
	u->mode = mode;
	u->lin = lin;
	u->gpa = gpa_;
	u->gpa2 = ~0ull;
	u->n = 0;
	u->limit = CCF_MAX_INSNS;
	u->exits = u->branches = u->fields = u->misses = 0;
	u->ended = u->side_effect = false;
	/* the last page: an instruction that wraps is interpreted */
	u->fixed = lin >> PAGE_SHIFT == 0xfffff;
	u->hinted = hint_on_page(tc, hint_place(mode, lin, gpa_) >> PAGE_SHIFT);
	u->selfcheck = smc_page_selfchecks(tc, gpa_);
	u->vary = 0;
	u->needs = 0;
	u->thunk_ahead = 0;
	u->known = NULL;
	memset(u->exit, 0, sizeof(u->exit));
	return u;
}

static void emit_all(struct tu *u, ccf_id id)
{
	u->id = id;
	u->e = (struct emit){u->code, 0, sizeof(u->code), false};
	emit_unit(u);
}

/* What vary_learn has found out is meant for the first translation after it. */
static void want_varying(struct tu *u)
{
	enum { FEW = 16 }; /* their bytes are compared a few at a time, and the code must not be cut when it is full */
	struct tc *tc = u->tc;

	if (u->selfcheck && tc->vary.lin == u->lin && tc->vary.mode == u->mode && tc->vary.gpa == u->gpa)
		u->vary = tc->vary.insns & ((1u << FEW) - 1);
	tc->vary.insns = 0;
	if (!u->vary)
		return;
	u->limit = FEW;
	u->fixed = true;
	u->source = physmap_host(tc->pm, gpa(u->gpa), 1);
}

static void settle_varying(struct tu *u)
{
	uint64_t wanted = u->vary;

	u->vary = 0;
	for (unsigned i = 0; wanted && i < u->n; i++)
		u->vary |= (uint64_t)u->insn[i].varies << i;
}

ccf_id translate(struct tc *tc, uint32_t lin, uint32_t mode, uint64_t gpa_)
{
	uint64_t start = __rdtsc();
	struct tu *u = unit_for(tc, lin, mode, gpa_);

	want_varying(u);
	if (!plan(u))
		return 0;
	settle_varying(u);
	u->selfcheck |= u->gpa2 != ~0ull && smc_page_selfchecks(tc, u->gpa2);
	emit_all(u, ccf_alloc(tc));
	if (!verify_unit(u)) {
		ccf_release(tc, u->id);
		return 0;
	}
	publish(u);
	tc->translate_tsc += __rdtsc() - start;
	return u->id;
}

/* ----------------------------------- compare ----------------------------------- */

static bool same_exit(const struct ccf_exit *a, const struct ccf_exit *b)
{
	return a->ahead == b->ahead && a->patch == b->patch && a->stub == b->stub && a->alt == b->alt;
}

static bool same_exits(const struct ccf_exit *a, const struct ccf_exit *b)
{
	for (unsigned i = 0; i < CCF_EXITS; i++)
		if (!same_exit(&a[i], &b[i]))
			return false;
	return true;
}

/* The code as it was before its exits were chained: as the new translation has them. */
static void unchained_code(const struct tu *u, const struct ccf *c, uint8_t *code)
{
	memcpy(code, tc_rx(u->tc, c->host - c->entry), c->host_len);
	for (unsigned i = 0; i < CCF_EXITS; i++)
		if (c->exit[i].patch)
			memcpy(code + c->exit[i].patch, u->code + c->exit[i].patch, 4);
}

bool translate_same(struct tc *tc, ccf_id id, char *err, size_t errlen)
{
	static uint8_t code[CCF_MAX_BYTES];
	const struct ccf *c = ccf_of(tc, id);
	struct tu *u = unit_for(tc, c->lin, c->mode, c->gpa);
	const char *wrong = NULL;

	u->limit = c->insns;
	u->known = ccf_map(tc, c);
	if (!plan(u) || u->n != c->insns || u->end - u->lin != c->guest_len)
		wrong = "other instructions";
	u->selfcheck = c->flags & CCF_SELFCHECK;
	if (!wrong)
		emit_all(u, id);
	if (!wrong && (u->e.len != c->host_len || !same_exits(u->exit, c->exit)))
		wrong = "other exits or another length";
	if (!wrong) {
		unchained_code(u, c, code);
		wrong = memcmp(code, u->code, c->host_len) ? "other code" : NULL;
	}
	if (wrong)
		snprintf(err, errlen, "%s", wrong);
	return !wrong;
}
