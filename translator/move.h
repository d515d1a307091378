/*
 * Moving translations to another linear address.
 *
 * A program with a random base address runs the same pages of code (the page cache's) at a new linear address each time. What
 * was translated from them for a run that is over is moved instead of translated again: all CCFs of the page in one mode at once,
 * with their chains, in place. Only a few fields of the code change; emitters note each of them (move_mark, tu.h).
 *
 * Invariant: a moved CCF is what translate() would make there, byte for byte. With the verifier on, it is compared.
 *
 * A CCF may be moved away when no address space has its linear page tracked (mmu_track_code) with its frame there: then no branch table leads to it, and
 * only CCFs of the same page, which move with it, are chained to it. That the old address may be wanted again is no harm, only
 * another move.
 */
#ifndef RINGFENCE_TRANSLATOR_MOVE_H
#define RINGFENCE_TRANSLATOR_MOVE_H

#include "translator/internal.h"

/* What a move by `delta` does to a 32-bit field of the code. */
enum move_kind {
	MOVE_ADD,      /* an address of the guest's code */
	MOVE_SUBTRACT, /* minus such an address */
	MOVE_SLOT,     /* offset of its slot in the indirect-branch table */
};

/* A field: offset from the start of the code, kind above it. They stand behind the CCF's map. */
enum { MOVE_KIND_SHIFT = 13, MOVE_OFFSET_MASK = (1 << MOVE_KIND_SHIFT) - 1, MOVE_FIELDS = 255 };
_Static_assert(CCF_MAX_BYTES <= 1 << MOVE_KIND_SHIFT, "offsets of fields have 13 bits");

/*
 * Before translating at `lin`, already fetched as `gpa`: bring what there is of that page at an address that is not in use any more.
 * False: there was nothing to bring. The CCF for `lin` need not be among what came.
 */
bool move_page(struct tc *, uint32_t lin, uint32_t mode, uint64_t gpa);
/* If the page of `lin` has been moved there: put all that may run of it into the branch table. Nearly all that moves is executed. */
void move_offer(struct tc *, uint32_t lin, uint32_t mode, uint64_t gpa);

#endif
