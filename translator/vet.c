/*
 * Which code may run directly?
 *
 * Directly executed code sees the host's segment selectors, CPUID, descriptor table registers. The processor does not trap such
 * instructions, so a page is made executable in a world only when none is on it, as far as can be known:
 *
 *   1. From every known start (translated units, the instruction about to run) code is followed along direct branches within
 *      the page, also from words in the page that are addresses in the page: every instruction on the way must be harmless.
 *   2. What lies between is decoded from front to back, and its branches are followed too; the same holds for it. Bytes that do
 *      not decode are data.
 *   3. The encodings of SMSW, and of CPUID where it does not trap, may occur at no offset at all, not even within other instructions.
 *
 * A page that fails runs translated, all of it. It is looked at again when it is written, and now and then.
 *
 * An instruction that spans two pages is judged with the bytes of the following one, which then belongs to the answer (direct.c:
 * next). Where the sweep of a page begins, in the middle of such an instruction, the end of the page before tells.
 *
 * What is left: a computed jump into the middle of an instruction. Rule 3 for all that is harmful would leave no page:
 * nearly every one has a byte that would be PUSH DS or a far jump (docs/worlds.md has figures). So such code may read host
 * selectors and execute RDTSC, SGDT, LAR and their kind, whose answers are the same for all programs of the host, and AVX, whose state no
 * other run sees (world/stub/entry.S); a segment load is noticed at the next exit (world.c: take_image); a far jump into 64-bit code gets no
 * further than the world's filter.
 *
 * What traps need not be found: privileged instructions, I/O and INT n arrive as signals with exact state. Not so SYSENTER and
 * SYSCALL, for which the host's kernel does not keep the state.
 */
#include "translator/classify.h"
#include "translator/direct.h"

#include <string.h>

enum { UNKNOWN, START, MIDDLE, WORK = 1024, INSN_MAX = 15, BEFORE = 128, FLAGS_LOOK = 8 };

struct vet {
	struct tc *tc;
	const uint8_t *bytes;
	uint32_t page;          /* linear address */
	const uint8_t *next;    /* the following page, or null */
	bool next_used;
	uint8_t map[PAGE_SIZE];
	uint16_t work[WORK];
	unsigned n;
	uint8_t needs;
};

/* Moves to and from segment registers, by opcode. */
static bool segment_move(const ZydisDecodedInstruction *z)
{
	if (z->opcode_map == ZYDIS_OPCODE_MAP_0F)
		return (z->opcode & 0xf6) == 0xa0; /* A0, A1, A8, A9: PUSH and POP of FS, GS */
	if (z->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return false;
	return z->opcode == 0x8c || z->opcode == 0x8e || (z->opcode < 0x20 && (z->opcode & 7) >= 6 && z->opcode != 0x0f);
}

/* F3 makes BSF and BSR other instructions on hosts that have TZCNT and LZCNT. */
static bool repeated(const ZydisDecodedInstruction *z)
{
	for (unsigned i = 0; i < z->raw.prefix_count; i++)
		if (z->raw.prefixes[i].value == 0xf3)
			return true;
	return false;
}

/*
 * Are CF and ZF, as they are before the instruction at this offset, overwritten before anything looks at them? Jumps are followed
 * into other pages, too, as these are now. A call is the end of them: no calling convention hands flags over, and what is asked for
 * here is written by compilers. (Functions that return flags there are.)
 */
static bool flags_die(const struct vet *v, uint32_t at)
{
	ZydisAccessedFlagsMask left = ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_ZF;
	uint8_t bytes[INSN_MAX];
	struct tinsn t;

	for (unsigned i = 0; i < FLAGS_LOOK && left; i++) {
		const ZydisAccessedFlags *f;

		if (!decode(&t, bytes, mmu_peek(v->tc->mmu, gva(v->page + at), bytes, INSN_MAX), at))
			return false;
		f = t.z.cpu_flags;
		if (f && f->tested & left)
			return false;
		if (f)
			left &= ~(f->modified | f->set_0 | f->set_1 | f->undefined);
		if (t.z.mnemonic == ZYDIS_MNEMONIC_CALL)
			return t.z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
		if (t.z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && t.z.mnemonic != ZYDIS_MNEMONIC_JMP)
			return !left;
		if (t.z.mnemonic == ZYDIS_MNEMONIC_JMP && !t.z.raw.imm[0].is_relative)
			return !left;
		at = t.next + (t.z.raw.imm[0].is_relative ? (uint32_t)t.z.raw.imm[0].value.s : 0);
	}
	return !left;
}

/*
 * REP BSF is what compilers write when TZCNT would do as well: the two agree but in CF and ZF, and for a source of zero, for
 * which BSF defines no result.
 */
static bool harmless_bit_scan(const struct vet *v, const struct tinsn *t)
{
	if (!repeated(&t->z))
		return true;
	return t->z.mnemonic == ZYDIS_MNEMONIC_BSF && flags_die(v, t->next);
}

static bool harmless_mnemonic(const ZydisDecodedInstruction *z)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_SYSENTER:
	case ZYDIS_MNEMONIC_SYSCALL:
	case ZYDIS_MNEMONIC_SYSEXIT:
	case ZYDIS_MNEMONIC_SYSRET:
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_INT1:
		return false;
	default:
		return true;
	}
}

/* What PUSHF shows is the guest's when IF is 1 and IOPL and NT are 0, as they are in a world. */
static bool flags_image(const ZydisDecodedInstruction *z)
{
	return z->mnemonic == ZYDIS_MNEMONIC_PUSHF || z->mnemonic == ZYDIS_MNEMONIC_PUSHFD ||
	       z->mnemonic == ZYDIS_MNEMONIC_POPF || z->mnemonic == ZYDIS_MNEMONIC_POPFD;
}

static bool harmless(struct vet *v, const struct tinsn *t)
{
	const ZydisDecodedInstruction *z = &t->z;

	if (z->meta.isa_ext != ZYDIS_ISA_EXT_BASE && t->action != ACT_NOP)
		v->needs |= NEEDS_VECTOR;
	if (flags_image(z))
		v->needs |= NEEDS_FLAGS;
	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || t->next < t->eip)
		return false;
	if (z->mnemonic == ZYDIS_MNEMONIC_CPUID)
		return v->tc->cpuid_faults;
	if (segment_move(z) || z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || !harmless_mnemonic(z))
		return false;
	if ((z->mnemonic == ZYDIS_MNEMONIC_BSF || z->mnemonic == ZYDIS_MNEMONIC_BSR) && !harmless_bit_scan(v, t))
		return false;
	if (t->why == WHY_POINTERS || (t->why == WHY_SENSITIVE && !flags_image(z)))
		return false;
	return t->action == ACT_NOP || t->why == WHY_PRIVILEGED || classify_isa_allowed(v->tc->cpu->model, z);
}

enum found { HARMLESS, HARMFUL, NOTHING };

static enum found look(struct vet *v, unsigned at, struct tinsn *t)
{
	unsigned room = PAGE_SIZE - at;
	uint8_t crossing[2 * INSN_MAX] = {0};

	if (decode(t, v->bytes + at, room < INSN_MAX ? room : INSN_MAX, at))
		return harmless(v, t) ? HARMLESS : HARMFUL;
	if (room >= INSN_MAX)
		return NOTHING;
	v->next_used = true;
	if (!v->next)
		return NOTHING; /* it cannot be executed before something is there */
	memcpy(crossing, v->bytes + at, room);
	memcpy(crossing + room, v->next, INSN_MAX);
	if (!decode(t, crossing, INSN_MAX, at))
		return NOTHING;
	return harmless(v, t) ? HARMLESS : HARMFUL;
}

static void mark(struct vet *v, unsigned at, unsigned len)
{
	v->map[at] = START;
	for (unsigned i = at + 1; i < at + len && i < PAGE_SIZE; i++)
		if (v->map[i] == UNKNOWN)
			v->map[i] = MIDDLE;
}

static bool ends_flow(const struct tinsn *t)
{
	return t->z.mnemonic == ZYDIS_MNEMONIC_JMP || t->z.mnemonic == ZYDIS_MNEMONIC_RET ||
	       t->z.mnemonic == ZYDIS_MNEMONIC_UD2;
}

static bool push(struct vet *v, int64_t at)
{
	if (at < 0 || at >= PAGE_SIZE || v->map[at] == START)
		return true;
	if (v->n == WORK)
		return false;
	v->work[v->n++] = (uint16_t)at;
	return true;
}

/* Follow code from one start; false: something harmful. */
static bool follow(struct vet *v, unsigned at)
{
	struct tinsn t;

	while (at < PAGE_SIZE && v->map[at] != START) {
		/* bytes that are no instruction raise #UD when they are reached */
		enum found f = look(v, at, &t);

		if (f != HARMLESS)
			return f == NOTHING;
		mark(v, at, t.z.length);
		if (t.z.raw.imm[0].is_relative && !push(v, (int64_t)t.next + t.z.raw.imm[0].value.s))
			return false;
		if (ends_flow(&t))
			return true;
		at = t.next;
	}
	return true;
}

static uint8_t byte_at(struct vet *v, unsigned at)
{
	if (at < PAGE_SIZE)
		return v->bytes[at];
	v->next_used = true;
	return v->next ? v->next[at - PAGE_SIZE] : 0;
}

static bool hidden_encoding(struct vet *v, unsigned at)
{
	if (v->bytes[at] != 0x0f)
		return false;
	switch (byte_at(v, at + 1)) {
	case 0xa2: /* CPUID */
		return !v->tc->cpuid_faults;
	case 0x01:
		return (byte_at(v, at + 2) >> 3 & 7) == 4; /* SMSW */
	default:
		return false;
	}
}

static bool runs_into_known(const struct vet *v, unsigned at, unsigned len)
{
	for (unsigned i = at + 1; i < at + len && i < PAGE_SIZE; i++)
		if (v->map[i] != UNKNOWN)
			return true;
	return false;
}

static bool follow_all(struct vet *v)
{
	while (v->n)
		if (!follow(v, v->work[--v->n]))
			return false;
	return true;
}

/* Words in the page that are addresses in the page: jump tables, and operands of moves and pushes. */
static bool follow_addresses(struct vet *v)
{
	for (unsigned at = 0; at + 4 <= PAGE_SIZE; at++) {
		uint32_t word;

		memcpy(&word, v->bytes + at, 4);
		if (word - v->page < PAGE_SIZE && (!push(v, word - v->page) || !follow_all(v)))
			return false;
	}
	return true;
}

/* Everything that code was not followed to. */
static bool sweep(struct vet *v)
{
	struct tinsn t;

	for (unsigned at = 0; at < PAGE_SIZE; at++)
		if (hidden_encoding(v, at))
			return false;
	for (unsigned at = 0; at < PAGE_SIZE;) {
		enum found f = v->map[at] == UNKNOWN ? look(v, at, &t) : NOTHING;

		if (f == NOTHING || runs_into_known(v, at, t.z.length)) {
			at++;
			continue;
		}
		if (f == HARMFUL)
			return false;
		mark(v, at, t.z.length);
		if (t.z.raw.imm[0].is_relative && (!push(v, (int64_t)t.next + t.z.raw.imm[0].value.s) || !follow_all(v)))
			return false;
		at += t.z.length;
	}
	return true;
}

/* How many bytes of an instruction of the page before reach into this one? Decoding falls into step within a few instructions. */
static unsigned tail_of_page_before(const struct vet *v)
{
	uint8_t bytes[BEFORE + INSN_MAX];
	struct tinsn t;
	unsigned at = 0;

	if (v->page < PAGE_SIZE || mmu_peek(v->tc->mmu, gva(v->page - BEFORE), bytes, BEFORE) != BEFORE)
		return 0;
	memcpy(bytes + BEFORE, v->bytes, INSN_MAX);
	while (at < BEFORE)
		at += decode(&t, bytes + at, INSN_MAX, at) ? t.z.length : 1;
	return at - BEFORE;
}

static bool examine(struct vet *v, uint64_t gfn, unsigned seed)
{
	unsigned tail;

	v->n = smc_starts(v->tc, gfn, v->work, WORK / 2, &tail);
	if (!tail)
		tail = tail_of_page_before(v);
	if (tail > seed)
		tail = seed;
	for (unsigned i = 0; i < tail; i++)
		v->map[i] = MIDDLE;
	v->work[v->n++] = (uint16_t)seed;
	return follow_all(v) && follow_addresses(v) && sweep(v);
}

uint32_t vet_insn_end(struct tc *tc, uint32_t lin)
{
	uint8_t bytes[INSN_MAX];
	unsigned n = mmu_peek(tc->mmu, gva(lin), bytes, INSN_MAX);
	struct tinsn t;

	return n && decode(&t, bytes, n, lin) ? t.next : lin;
}

bool vet_page(struct tc *tc, uint32_t lin, uint64_t gfn, uint64_t *starts, uint8_t *needs, uint64_t *next)
{
	static struct vet v; /* large; one vCPU thread vets */
	struct walk k;

	v.tc = tc;
	v.needs = 0;
	v.page = lin & ~(uint32_t)PAGE_MASK;
	v.next = NULL;
	v.next_used = false;
	*next = NEXT_ANY;
	if (v.page + PAGE_SIZE && mmu_walk_quiet(tc->cpu, tc->pm, gva(v.page + PAGE_SIZE), &k))
		v.next = physmap_host(tc->pm, k.gpa, INSN_MAX);
	v.bytes = physmap_host(tc->pm, gpa(gfn << PAGE_SHIFT), PAGE_SIZE);
	memset(v.map, UNKNOWN, sizeof(v.map));
	if (!v.bytes || physmap_kind(tc->pm, gpa(gfn << PAGE_SHIFT)) != PAGE_RAM || !examine(&v, gfn, lin & PAGE_MASK))
		return false;
	memset(starts, 0, VET_STARTS * sizeof(*starts));
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		if (v.map[i] == START)
			starts[i / 64] |= 1ull << (i % 64);
	*needs = v.needs;
	if (v.next_used)
		*next = v.next ? k.gpa.v >> PAGE_SHIFT : NEXT_ABSENT;
	return true;
}
