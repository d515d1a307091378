/*
 * Guest memory: the physical map, the guest's page tables, and the windows
 * through which translated code reaches them.
 *
 *   guest virtual --walk--> guest physical --physmap--> RAM memfd / ROM / MMIO
 *        |                                                 ^
 *        +------ window: 4 GiB of host addresses, mmap'ed -+
 *
 * Threading: everything here belongs to the vCPU thread unless a function says
 * otherwise. Guest faults are reported in cpu->fault.
 */
#ifndef RINGFENCE_MMU_MMU_H
#define RINGFENCE_MMU_MMU_H

#include "cpu/cpu.h"
#include "cpu/types.h"

#include <stdio.h>

/* ======================= guest physical map (physmap.c) ======================= */

struct physmap;

/* MMIO handlers; size is 1, 2, 4 or 8 and never crosses the region's end. */
struct mmio_ops {
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
	void (*write)(void *opaque, uint64_t offset, unsigned size, uint64_t value);
};

enum page_kind { PAGE_RAM, PAGE_ROM, PAGE_MMIO, PAGE_NONE };

/* First address that is not RAM when there is more RAM than fits below 4 GiB. */
#define PHYSMAP_HOLE_START 0xe0000000ull

/*
 * RAM of `bytes` (a multiple of 4 KiB) in one memfd. Guest layout: RAM from 0 up to
 * PHYSMAP_HOLE_START (less A0000-BFFFF, which reads as unassigned until a device claims it), the rest from 4 GiB up.
 * C0000-FFFFF is ROM: readable, guest writes are ignored. Null on failure with a message in err.
 */
struct physmap *physmap_create(uint64_t bytes, char *err, size_t errlen);
void physmap_destroy(struct physmap *);
int physmap_fd(const struct physmap *);
uint64_t physmap_ram_size(const struct physmap *);
uint64_t physmap_below_4g(const struct physmap *); /* end of low RAM */
uint64_t physmap_above_4g(const struct physmap *); /* bytes of RAM above 4 GiB */
/* Zero all RAM (not ROM). The VM must not be running. */
void physmap_clear_ram(struct physmap *);

/* Register MMIO; overlapping an existing region is a programming error. Regions are page-aligned. */
void physmap_add_mmio(struct physmap *, gpa_t base, uint64_t len, const struct mmio_ops *, void *opaque);
/* Move or remove a region (APIC base, PCI BARs). len 0 in the map means removed. */
void physmap_move_mmio(struct physmap *, void *opaque, gpa_t new_base, bool enabled);

enum page_kind physmap_kind(const struct physmap *, gpa_t);
/* Offset of a RAM or ROM page in the memfd. */
uint64_t physmap_file_offset(const struct physmap *, gpa_t);
/* Host pointer to [gpa, gpa+len) when it is RAM/ROM contiguous in the memfd, else null. For the monitor's own
 * reading, loaders and ROM building; guest-visible writes go through physmap_write. Async-signal-safe. */
void *physmap_host(const struct physmap *, gpa_t, uint64_t len);

/* Guest-visible access by physical address (DMA, page walks, interpreter): dispatches RAM, ROM, MMIO;
 * unassigned reads as all ones. Writes to pages holding translated code notify the code listener first. */
void physmap_read(struct physmap *, gpa_t, void *, unsigned len);
void physmap_write(struct physmap *, gpa_t, const void *, unsigned len);

/* A20 gate: when off, bit 20 of every physical address the CPU makes is zero. */
void physmap_set_a20(struct physmap *, bool on);

/* ---- pages that hold translated code (guard.c) ---- */

struct code_listener {
	/* Bytes of a marked page are about to be written by the CPU or a device. The listener drops what
	 * overlaps and may call physmap_unmark_code. */
	void (*written)(void *ctx, gpa_t, unsigned len);
	void *ctx;
};
void physmap_set_code_listener(struct physmap *, const struct code_listener *);
/* Write-protect the page in every window and software TLB from now on. Idempotent. */
void physmap_mark_code(struct physmap *, gpa_t page);
/* Writes are no longer reported; the page becomes writable again lazily. */
void physmap_unmark_code(struct physmap *, gpa_t page);
bool physmap_is_code(const struct physmap *, gpa_t page);

/* ============================ guest page walk (walk.c) ============================ */

struct walk {
	gpa_t gpa;       /* of the byte asked for */
	uint64_t page;   /* size of the guest page: 4 KiB, 2 MiB or 4 MiB; 1 GiB-sized identity when paging is off */
	bool user;       /* accessible with user privilege */
	bool write;      /* guest tables permit writing (for the privilege asked for, CR0.WP considered) */
	bool exec;
	bool dirty;      /* D already set (or set by this walk); false: map read-only */
	bool global;
	gpa_t table[3];  /* page-table pages visited, top down; .v = ~0 when unused */
	uint64_t entry[3];
	unsigned levels;
};

/*
 * Walk the guest's tables for one access and set A (and, for writes, D) bits. OUT_FAULT: cpu->fault is the #PF.
 */
MUST_USE enum outcome mmu_walk(struct cpu *, struct physmap *, gva_t, unsigned acc, struct walk *);
/* The same without side effects, for debuggers and for looking at neighbours; false when not mapped. */
bool mmu_walk_quiet(const struct cpu *, struct physmap *, gva_t, struct walk *);

/* ======================= windows and flushes (mmu.c, window.c, snapshot.c) ======================= */

struct mmu;

struct mmu_config {
	unsigned user_windows;  /* how many user windows are cached (LRU) */
	unsigned max_mappings;  /* budget of host mappings; 0: from vm.max_map_count */
};

/*
 * A space is a window's identity for the translator: `index` is a small dense number (0 = supervisor,
 * 1.. = user windows), stable while the window belongs to one guest address space.
 */
enum { MMU_SUPERVISOR = 0, MMU_MAX_SPACES = 64 };

struct mmu_listener {
	/* Linear pages [first, last] of a space may translate differently now (page numbers = gva >> 12); only called for
	 * ranges in which mmu_track_code was used. Cross-page links into them must go. */
	void (*code_unmapped)(void *ctx, unsigned space, uint64_t first, uint64_t last);
	/* The space was given to another address space: forget everything about it. */
	void (*space_recycled)(void *ctx, unsigned space);
	void *ctx;
};

struct mmu *mmu_create(struct physmap *, struct cpu *, const struct mmu_config *, char *err, size_t errlen);
void mmu_destroy(struct mmu *);
void mmu_set_listener(struct mmu *, const struct mmu_listener *);

/* Window bases for GS: 4 GiB-aligned, stride 8 GiB. The user window of the current CR3 is made on first use. */
hva_t mmu_window_base(struct mmu *, bool user);
unsigned mmu_space(struct mmu *, bool user);

/* What a host fault in a window turned out to be. */
enum mmu_fill {
	MMU_FILLED,     /* entry made (or rights raised): run the instruction again */
	MMU_TRUE_FAULT, /* the guest's tables forbid it: let the interpreter raise it */
	MMU_IO,         /* MMIO or unassigned: not mappable */
	MMU_CODE_WRITE, /* write to a page that holds translations, or to ROM: emulate the instruction */
	MMU_EMULATE,    /* mappable, but not worth it: emulate this one access (see churn.c) */
	MMU_USER_PAGE,  /* supervisor access to a user page while such fills are refused (see mmu_refuse_user_fills) */
};
enum mmu_fill mmu_handle_fault(struct mmu *, bool user, gva_t, bool write);
/*
 * A true fault of user code is followed by the same access, once the guest has mapped the page: so its window entry can be made
 * on the way back to user code, without another host fault. `mmu_expect`: user code has just faulted there; `mmu_expecting`: such a page is known; `mmu_fill_expected`: forget it, and make
 * its entry if that is wanted and the guest's tables allow the access by now. False: no entry was made.
 */
void mmu_expect(struct mmu *, bool write, gva_t);
bool mmu_expecting(const struct mmu *);
bool mmu_fill_expected(struct mmu *, bool wanted);
/* When on, the supervisor window is never filled with pages whose guest mapping is U=1. */
void mmu_refuse_user_fills(struct mmu *, bool on);
/* Whether MMU_EMULATE may be answered (default: yes). Lockstep says no: its reference walks the tables, as a fill does. */
void mmu_emulate_churn(struct mmu *, bool on);

/*
 * Is this host address inside a window (or its guard)? Async-signal-safe. In a guard (the access straddles an end of the
 * address space) the address handed out lies outside [0, 4 GiB); mmu_handle_fault then answers MMU_IO: emulate.
 */
bool mmu_window_of(const struct mmu *, uintptr_t addr, bool *user, gva_t *);

/* Flushes; wired to cpu_ops. Compare page tables in use with their snapshots and drop what changed. */
void mmu_paging_changed(struct mmu *, bool flush, bool global);
void mmu_invlpg(struct mmu *, gva_t);

/*
 * MOV to CR3 and INVLPG when no window loses anything by it: all of the instruction. False: nothing was done, take the full way.
 * General registers only (lean_flush.c).
 */
bool mmu_lean_load_cr3(struct mmu *, uint32_t value);
bool mmu_lean_invlpg(struct mmu *, gva_t);

/*
 * Instruction fetch: translate one linear address for execution in the current mode, and have changes of its mapping
 * reported to the listener from now on. OUT_FAULT: cpu->fault is the #PF.
 */
MUST_USE enum outcome mmu_track_code(struct mmu *, bool user, gva_t, gpa_t *);
/* Is the linear page (number) tracked in any user space that has this frame there? */
bool mmu_code_in_use(const struct mmu *, uint32_t page, uint64_t gfn);
/* Is any page of this space tracked? */
bool mmu_runs_code(const struct mmu *, unsigned space);

/*
 * The same two answers as mmu_window_base/mmu_space and mmu_track_code, when they are known already; false: ask those.
 * Use general registers only and have no side effects (lean.c).
 */
bool mmu_lean_space(const struct mmu *, bool user, hva_t *base, unsigned *space);
bool mmu_lean_code(const struct mmu *, bool user, gva_t, gpa_t *);
/*
 * Put the page of an access into the software TLB. False: it faults, its tables lack accessed or dirty bits,
 * or it is not plain memory; nothing was done. General registers only.
 */
bool mmu_lean_refill(struct mmu *, bool user, bool write, gva_t);
/* Does the guest get a page fault for this access? Then its error code, too. Changes nothing; general registers only. */
bool mmu_lean_faults(const struct mmu *, bool user, bool write, gva_t, uint32_t *error);
/* Where the window has this page at present, stale or not; false: an access would fault. */
bool mmu_window_frame(const struct mmu *, bool user, gva_t, bool write, gpa_t *);

/* ---- software TLB (softtlb.c): interpreter, callouts, and the look-up form ---- */

/*
 * Direct-mapped, one for each privilege (supervisor accesses, user accesses), with slots of their own for reads and writes, so
 * that a hit needs one compare. minus_page: -(gva >> 12) of the page held, so that adding the page gives 0; 1: none.
 * delta + gva = host address. Emitted code reads these fields: layout asserted in translator/.
 */
enum { SOFTTLB_SIZE = 65536 };
struct softtlb {
	uint32_t minus_page[2][SOFTTLB_SIZE]; /* [write]; clean pages and code pages are in [false] only */
	uint64_t delta[2][SOFTTLB_SIZE];
};
static inline unsigned softtlb_index(uint32_t va)
{
	return (va >> 12) & (SOFTTLB_SIZE - 1);
}
static inline uint8_t *softtlb_host(const struct softtlb *t, bool write, uint32_t va)
{
	unsigned i = softtlb_index(va);

	return t->minus_page[write][i] + (va >> 12) == 0 ? (uint8_t *)(uintptr_t)(t->delta[write][i] + va) : NULL;
}
struct softtlb *mmu_softtlb(struct mmu *, bool user);

/* The cpu_ops memory functions on top of walk + physmap + softtlb. `ctx` pointer: cpu->ops_ctx is not used; the mmu is found by
 * mmu_of(cpu), set by mmu_create. */
enum outcome mmu_op_read(struct cpu *, gva_t, void *, unsigned len, unsigned acc);
enum outcome mmu_op_write(struct cpu *, gva_t, const void *, unsigned len, unsigned acc);
enum outcome mmu_op_probe(struct cpu *, gva_t, unsigned len, unsigned acc);
enum outcome mmu_op_fetch(struct cpu *, gva_t, uint8_t *, unsigned max, unsigned *got);
struct mmu *mmu_of(struct cpu *);

/* Debugger access by guest-virtual address, no side effects, no faults: bytes transferred. */
unsigned mmu_peek(struct mmu *, gva_t, void *, unsigned len);
unsigned mmu_poke(struct mmu *, gva_t, const void *, unsigned len);

/* ---- for the debug monitor (view.c); vCPU thread, nothing changes ---- */
void physmap_print(const struct physmap *, FILE *);
void mmu_print_mem(const struct cpu *, struct physmap *, FILE *); /* QEMU's info mem */
void mmu_print_tlb(const struct cpu *, struct physmap *, FILE *); /* QEMU's info tlb */
void mmu_print_windows(const struct mmu *, FILE *);
void mmu_print_snapshots(const struct mmu *, FILE *);

/* ---- mirrors of user windows (mirror.c): what a world shows ---- */

/*
 * A mirror shows a subset of what a user window maps, with the same rights or fewer. When a page of a mirrored
 * window goes, moves to another frame or becomes read-only, `dropped` is called with its page numbers (gva >> 12), before the
 * guest can run again; it only takes note. It may be called for pages that were never shown.
 */
struct mmu_mirror {
	void (*dropped)(void *ctx, unsigned space, uint32_t first, uint32_t last);
	void *ctx;
};
void mmu_set_mirror(struct mmu *, const struct mmu_mirror *);
/* Begin or end reporting for a space; ends by itself when the space is recycled. */
void mmu_mirror_space(struct mmu *, unsigned space, bool on);

/* What the current user window has around an address: pages alike and consecutive in the RAM file. */
struct mmu_view {
	uint32_t page, first, last; /* gva >> 12 */
	uint64_t gfn;               /* of `page` */
	uint64_t file;              /* offset of `first` in physmap_fd */
	bool write;
};
/* At most `reach` pages each way. False: the page is not mapped there now; mmu_handle_fault may fill it. */
bool mmu_user_view(struct mmu *, gva_t, uint32_t reach, struct mmu_view *);

/* ---- statistics ---- */
#define MMU_STATS(X) \
	X(hidden_faults, "faults that filled a window") \
	X(true_faults, "faults for the guest") \
	X(code_write_faults, "writes to code pages") \
	X(io_faults, "accesses to MMIO through a window") \
	X(emulated, "accesses to pages that churn") \
	X(expected_fills, "pages mapped on the way back from a true fault") \
	X(fills, "window mappings made") \
	X(fill_pages, "pages mapped by them") \
	X(drops, "window ranges dropped") \
	X(flushes, "flushes") \
	X(compares, "page-table pages compared") \
	X(quiet, "address spaces found at rest: their page tables write-protected") \
	X(evictions, "windows evicted") \
	X(walks, "guest page walks") \
	X(softtlb_misses, "software TLB misses")
struct mmu_stats {
#define X(name, text) uint64_t name;
	MMU_STATS(X)
#undef X
	uint64_t mappings_now;
};
const struct mmu_stats *mmu_statistics(const struct mmu *);

#endif
