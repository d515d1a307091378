/*
 * Inside mmu/: the data behind the physical map and the windows.
 *
 *   struct physmap   guest physical addresses -> memfd, ROM, MMIO; code-page bitmap
 *   struct window    one 4 GiB view: shadow table + slots (what it was filled from)
 *   struct mmu       all windows of one vCPU, software TLBs, reverse map, budget
 *
 * A window is divided into SLOTS: what one page-directory entry covers (4 MiB; 2 MiB
 * with PAE). A slot remembers the directory entry it was filled from and, for 4 KiB
 * pages, a SNAPSHOT of the page table's entries. The SHADOW table has one word for each
 * linear page: what is mapped there and whether code was fetched from it.
 *
 * Invariants:
 *   - shadow[p] != 0 implies that the slot of p is live, that slot.pde is the directory
 *     entry p was filled from, and that the snapshot's entry for p is the one p was filled from
 *     (give or take bits whose change does not matter, see snapshot_changed);
 *   - SH_W implies RAM, guest-dirty, not guarded, and an extent in the reverse map;
 *   - host mappings are what the shadow says: PROT_NONE where SH_R is clear. A PARKED page is a
 *     mapping of a dropped page that was only made inaccessible: four times cheaper than
 *     mapping nothing over it, and cheap to bring back when the same frame is wanted there
 *     again (aging, copy on write).
 */
#ifndef RINGFENCE_MMU_INTERNAL_H
#define RINGFENCE_MMU_INTERNAL_H

#include "cpu/log.h"
#include "mmu/mmu.h"

/* ---- paging-structure entries (SDM: "32-Bit Paging", "PAE Paging") ---- */
#define PTE_P	     0x001ull
#define PTE_RW	     0x002ull
#define PTE_US	     0x004ull
#define PTE_PWT	     0x008ull
#define PTE_PCD	     0x010ull
#define PTE_A	     0x020ull
#define PTE_D	     0x040ull
#define PTE_PS	     0x080ull /* directory entries; PAT in page-table entries */
#define PTE_G	     0x100ull
#define PTE_AVL	     0xe00ull
#define PTE_NX	     (1ull << 63)
#define PTE_ADDR_PAE 0xffffff000ull

/* ---- physical map ---- */

enum { MMIO_MAX = 64, PHYS_RANGES = 4, PHYS_BITS = 36 };

struct mmio_region {
	uint64_t base, len;
	const struct mmio_ops *ops;
	void *opaque;
	bool enabled;
};

/* A stretch of guest-physical addresses backed by the memfd. */
struct phys_range {
	uint64_t start, end; /* guest physical */
	uint64_t file;	     /* offset of start in the memfd */
	enum page_kind kind; /* RAM or ROM */
};

/* What the windows want to hear of the physical map. */
struct physmap_hooks {
	void (*guarded)(void *ctx, gpa_t page);
	void (*table_written)(void *ctx);
	void (*a20_changed)(void *ctx);
	void *ctx;
};

struct physmap {
	int fd;
	uint8_t *host; /* the whole memfd, readable and writable */
	uint64_t file_size;
	uint64_t ram, below, above;
	uint64_t a20_mask;
	struct phys_range range[PHYS_RANGES];
	unsigned ranges;
	uint64_t *guarded; /* one bit for each page of the memfd: it must not be written unnoticed */
	uint64_t *table;   /* of these: as a page table (quiet.c), not because of code */
	struct mmio_region mmio[MMIO_MAX];
	unsigned mmio_count;
	struct code_listener listener;
	struct physmap_hooks hooks;
};

void physmap_set_hooks(struct physmap *, const struct physmap_hooks *);
/* The memfd-backed range that holds the address, or null. */
const struct phys_range *physmap_range(const struct physmap *, uint64_t gpa);
static inline uint64_t physmap_a20(const struct physmap *pm, uint64_t addr)
{
	return addr & pm->a20_mask;
}
/* mmio.c: the enabled region holding the address, or null. */
const struct mmio_region *mmio_find(const struct physmap *, uint64_t gpa);
/* One access of natural size and alignment; returns the bytes done. */
unsigned mmio_read(const struct mmio_region *, uint64_t gpa, void *, unsigned len);
unsigned mmio_write(const struct mmio_region *, uint64_t gpa, const void *, unsigned len);
/*
 * guard.c: pages that must not be written unnoticed, because they hold translated code or are page tables at rest. Such
 * a page is writable in no window and in no software TLB. It is one or the other: a table that becomes code is watched no more.
 */
bool guard_has(const struct physmap *, gpa_t page);
/* Tell whom it concerns about a write to memfd-backed [gpa, gpa+len). */
void guard_notify(struct physmap *, uint64_t gpa, unsigned len);
/* Next guarded (or not) page in [first, last] (page numbers of the memfd), or last + 1. */
uint64_t guard_next(const struct physmap *, uint64_t first, uint64_t last, bool guarded);
bool guard_is_table(const struct physmap *, gpa_t page);
/* False: it is no RAM, or holds code. */
bool guard_table(struct physmap *, gpa_t page);
/* The table is written now: it is watched no more. False: it was none. */
bool guard_table_written(struct physmap *, gpa_t page);

/* ---- walk.c ---- */

/* The walk behind mmu_walk, without touching cpu->fault: false and the #PF error code. */
MUST_USE bool walk_access(struct cpu *, struct physmap *, uint32_t va, unsigned acc, struct walk *,
			  uint32_t *error);
/* The same without setting A and D. */
MUST_USE bool walk_check(const struct cpu *, struct physmap *, uint32_t va, unsigned acc, struct walk *,
			 uint32_t *error);
static inline bool paging_on(const struct cpu *c)
{
	return c->cr0 & CR0_PG;
}
static inline bool paging_pae(const struct cpu *c)
{
	return c->cr4 & CR4_PAE;
}
/* Bits that must be zero in a present PAE entry. */
uint64_t walk_pae_reserved(const struct cpu *);
/* The directory entry (what a slot is filled from) and whether it maps a large page. */
static inline uint64_t walk_pde(const struct cpu *c, const struct walk *k)
{
	return paging_on(c) ? k->entry[paging_pae(c) ? 1 : 0] : 0;
}
static inline uint64_t walk_leaf(const struct walk *k)
{
	return k->levels ? k->entry[k->levels - 1] : 0;
}
/* Does the access find A, and for a write D, set already? */
bool walk_marked(const struct cpu *, const struct walk *, bool write);
/* R/W of the tables themselves, whatever CR0.WP says. */
bool walk_tables_rw(const struct cpu *, const struct walk *);
/* Present large directory entry: frame of its first 4 KiB; false when reserved bits are set. */
bool walk_large_frame(const struct cpu *, uint64_t pde, uint64_t *gfn);

/* ---- windows ---- */

#define WINDOW_SIZE   (1ull << 32)
#define WINDOW_STRIDE (1ull << 33)
#define WINDOW_PAGES  (1u << 20)
#define RUN_LIMIT     ((64u << 20) >> PAGE_SHIFT)
enum {
	MAX_SLOTS = 2048,
	FILL_STRETCHES = 8, /* stretches of guarded pages on either side of a fill */
	FILL_SLACK = 2 * 2 * FILL_STRETCHES + 8, /* host mappings one fill may add */
};

/* Shadow words: guest frame number << 8 | flags. */
enum {
	SH_R = 1,	/* host mapping exists */
	SH_W = 2,	/* and is writable */
	SH_CODE = 4,	/* mmu_track_code was used */
	SH_NOWP = 8,	/* writable only because CR0.WP was clear */
	SH_SEEN = 16,	/* scratch bit of rmap compaction */
	SH_PARKED = 32, /* in window.parked only */
	SH_GFN_SHIFT = 8,
};

struct slot {
	uint64_t pde;	 /* directory entry the slot was filled from */
	uint8_t *snap;	 /* page-table snapshot; null for large pages and without paging */
	uint64_t lines;  /* of 64 bytes of the page table, that hold entries in use: a bit each */
	uint16_t live;	 /* pages with a shadow word */
};

/* Where the software TLB holds a page (softtlb.c). */
struct tlb_slot {
	uint16_t index;
	bool user, write;
};

/* A page of a space that the software TLB knew when the space was left. */
struct tlb_kept {
	struct tlb_slot slot;
	uint32_t minus_page;
	uint64_t delta;
};
enum { TLB_KEPT = 24 };

/* See quiet.c. */
struct quiet {
	uint64_t epoch;     /* in which all its tables were guarded, and found unchanged; 0: not */
	uint64_t pdpte[4];  /* as they were then */
	uint32_t unchanged; /* loads of CR3 in a row that found no table changed */
};

_Static_assert(MAX_SLOTS / 64 <= 32, "window.ever has a bit for each word");
struct window {
	unsigned space;
	uintptr_t base;
	uint32_t *shadow;
	uint32_t *parked; /* frame << 8 | SH_PARKED, or 0; meaningless where SH_R is set */
	struct slot *slots;
	uint64_t used[MAX_SLOTS / 64]; /* slots with live != 0 */
	uint32_t ever;                 /* words of it that are not zero, or were not once */
	uint64_t global[MAX_SLOTS / 64]; /* of these: every live page had G set when it was filled */
	uint32_t vmas;		       /* host mappings this window is made of */
	uint32_t nowp, tracked;	       /* pages with SH_NOWP, SH_CODE */
	uint32_t parked_n;	       /* pages parked */
	unsigned slot_shift;	       /* log2(pages in a slot) */
	bool assigned;
	bool mirrored; /* mirror.c hears of what is taken away */
	uint64_t cr3;
	uint64_t last_use;
	struct quiet quiet;
	struct tlb_kept kept[TLB_KEPT]; /* right as long as the window is quiet (softtlb.c) */
	unsigned kept_n;
};

struct fetch_entry {
	uint32_t tag;
	uint8_t *host;
};
enum { FETCH_ENTRIES = 16, TAG_INVALID = 1 };

struct extent;
struct bucket {
	struct extent *v;
	uint32_t n, cap;
};

/* A page's recent history of fills (churn.c). */
enum { CHURN_SLOTS = 64 };
struct churn {
	uint32_t page, fills;
	uint64_t flush; /* how many flushes there had been at its last fill */
};
/* Should this supervisor fault be emulated rather than filled? Counts it. */
bool churn_emulate(struct mmu *, uint32_t page);

struct paging_mode {
	bool on, pae, pse, nxe;
};

/* The user access that was a true fault last: it will be tried again. */
struct expected {
	bool on, write;
	uint32_t va;
	const struct window *w;
};

struct mmu {
	struct physmap *pm;
	struct cpu *cpu;
	struct mmu_listener listener;
	struct mmu_mirror mirror;
	struct mmu_stats stats;
	struct churn churn[CHURN_SLOTS];
	bool never_emulate;

	uintptr_t region; /* reserved addresses; windows start 4 GiB in */
	uint64_t region_size;
	struct window win[MMU_MAX_SPACES];
	unsigned spaces;
	struct window *user; /* of the current CR3, null until first used */
	uint64_t clock;	     /* LRU time */

	struct paging_mode mode;
	uint64_t cr3;
	uint64_t epoch; /* a new one begins when a guarded page table is written */
	bool wp;
	bool refuse_user;
	uint32_t max_mappings;
	struct expected expected;

	uint8_t **snap_free; /* stack of unused snapshot pages */
	unsigned snap_free_n, snap_total;

	struct bucket *bucket; /* reverse map, by guest frame >> 10 */
	uint32_t buckets;
	uint8_t *mixed; /* by block of frames: data beside code (rmap.c) */

	struct tlbs *tlbs; /* softtlb.c */
	struct fetch_entry fetch[2][FETCH_ENTRIES];
	bool fetched; /* some of them are in use */
};

static inline bool slot_is_global(const struct window *w, unsigned slot)
{
	return w->global[slot / 64] >> slot % 64 & 1;
}

static inline struct slot *window_slot(struct window *w, uint32_t page)
{
	return &w->slots[page >> w->slot_shift];
}

/* mmu.c */
/* The current user window; made when there is none. Never null. */
struct window *mmu_user_window(struct mmu *);
/* Find the cached window of the current CR3, if any, and make it current. */
void mmu_select_user(struct mmu *);
/* Room in the budget and for one snapshot; may drop anything, keeps current windows assigned. */
void mmu_make_room(struct mmu *);
/* Drop every host mapping (a system call said ENOMEM). */
void mmu_evict_all(struct mmu *);
/* Forget everything about every window; user windows are recycled. */
void mmu_drop_everything(struct mmu *);

/* flush.c: the guest takes a page fault at va. */
void mmu_page_faulted(struct mmu *, uint32_t va);

/* shadow.c */
/* The only writer of shadow words: keeps live counts, slot bitmap and mapping counts right. */
void shadow_set(struct mmu *, struct window *, uint32_t page, uint32_t word);

/* The only writer of window.parked. */
void parked_set(struct mmu *, struct window *, uint32_t page, uint32_t word);
void parked_forget(struct mmu *, struct window *, uint32_t page, uint32_t n);

/* Collects dropped pages so that neighbours share one system call and one report. */
struct drop {
	struct mmu *m;
	struct window *w;
	uint32_t map_lo, map_hi, code_lo, code_hi, ro_lo, ro_hi;
	bool mapped, code, ro;
};
void drop_begin(struct drop *, struct mmu *, struct window *);
void drop_pages(struct drop *, uint32_t first, uint32_t last);
void drop_slot(struct drop *, unsigned slot);
/* The page stays mapped but loses the right to be written. */
void drop_write(struct drop *, uint32_t page);
void drop_end(struct drop *);

/* window.c */
bool window_reserve(struct mmu *, char *err, size_t errlen);
void window_release(struct mmu *);
/* Map n pages of consecutive frames; guarded pages inside stay read-only. False: host refused. */
bool window_map(struct mmu *, struct window *, uint32_t page, uint32_t n, uint64_t gfn, bool write);
/* Change rights of pages that are mapped; false: host refused. */
bool window_protect(struct window *, uint32_t page, uint32_t n, bool write);
void window_unmap(struct mmu *, struct window *, uint32_t page, uint32_t n);
/* Make pages inaccessible in place; false: host refused. */
bool window_park(struct window *, uint32_t page, uint32_t n);
/* Drop all host mappings but keep code tracking. */
void window_unmap_all(struct mmu *, struct window *);
/* Empty the window without telling anybody. */
void window_clear(struct mmu *, struct window *);

/* snapshot.c */
enum snap_level { LEVEL_PTE, LEVEL_LARGE, LEVEL_TABLE };
/* Did the entry change in a way that makes what was filled from it wrong? */
bool snapshot_changed(uint64_t old, uint64_t now, enum snap_level);
enum snap_level snapshot_level(const struct mmu *, uint64_t pde);
/* The page directory of a slot in the guest's current tables; .v = ~0: none. */
gpa_t snapshot_directory(const struct mmu *, unsigned slot);
/* Its entry there (0 when there is none), and the page table that an entry points to. */
uint64_t snapshot_pde_now(const struct mmu *, unsigned slot);
gpa_t snapshot_table_page(const struct mmu *, uint64_t pde);
const uint8_t *snapshot_table(const struct mmu *, uint64_t pde);
uint64_t snapshot_entry(const struct mmu *, const uint8_t *table, unsigned index);
static inline unsigned snapshot_index(const struct window *w, uint32_t page)
{
	return page & ((1u << w->slot_shift) - 1);
}
/* Before filling from a walk: drop what was filled from different entries. */
void snapshot_sync(struct mmu *, struct window *, uint32_t page, const struct walk *);
/* Record what `page` is about to be filled from. leaf is ignored for large pages. */
void snapshot_note(struct mmu *, struct window *, uint32_t page, uint64_t pde, uint64_t leaf);
/* True when the snapshot's entry for the page still agrees with `leaf`. */
bool snapshot_agrees(const struct mmu *, struct window *, uint32_t page, uint64_t leaf);
bool snapshot_reserve(struct mmu *);
void snapshot_free(struct mmu *, uint8_t *);
/* Pages [first, last] were dropped: lines of the tables that nothing was filled from are compared no more. */
void snapshot_dropped(const struct mmu *, struct window *, uint32_t first, uint32_t last);
void snapshot_compare_window(struct mmu *, struct window *, bool global);
void snapshot_compare_page(struct mmu *, struct window *, uint32_t page);
/*
 * The same when nothing has to be dropped, which is usual. False: something has; compare in full. General registers only.
 */
bool snapshot_window_stays(struct mmu *, struct window *, bool global);
bool snapshot_page_stays(struct mmu *, struct window *, uint32_t page);

/*
 * quiet.c: user windows whose tables rest. General registers only, but for quiet_begin.
 */
/* All that the window was filled from is as it was. */
bool quiet_is(const struct mmu *, const struct window *);
/* The window is filled from more than before; or a table was found changed. */
void quiet_end(struct window *);
void quiet_changed(struct window *);
/* The current user window was compared and stays as it is. False: time for quiet_begin, on the full path. */
bool quiet_after_compare(struct mmu *, struct window *);
/* After a comparison: guard the tables if they have rested long enough. */
void quiet_begin(struct mmu *, struct window *);

/* mirror.c */
/* A shadow word of a mirrored window changes. */
void mirror_changed(struct mmu *, struct window *, uint32_t page, uint32_t old, uint32_t word);
/* All of them go. */
void mirror_cleared(struct mmu *, struct window *);

/* rmap.c */
bool rmap_create(struct mmu *);
void rmap_destroy(struct mmu *);
/* Pages [page, page+n) of w are now writable mappings of [gfn, gfn+n). False: out of memory. */
bool rmap_add(struct mmu *, const struct window *, uint32_t page, uint32_t n, uint64_t gfn);
/* Make every writable mapping of the frame read-only; perhaps some of its neighbours, too. */
void rmap_protect(struct mmu *, uint64_t gfn);
/* The frame, which is no code, is written to and becomes writable again. */
void rmap_written(struct mmu *, uint64_t gfn);

/* softtlb.c */
/* A page of the guest's for one kind of access. */
struct softtlb_page {
	uint8_t *host;
	bool user, write, large, global;
};
bool softtlb_create(struct mmu *);
void softtlb_destroy(struct mmu *);
void softtlb_flush(struct mmu *, bool global);
/* A load of CR3: pages of a quiet space are to be kept for when it comes back. Either window may be null. */
void softtlb_switch(struct mmu *, struct window *from, bool keep, const struct window *to);
void softtlb_flush_page(struct mmu *, uint32_t va);
void softtlb_forget_writes(struct mmu *, const uint8_t *host_page);
/* RAM, and for writes free of translated code; ROM can be read. */
bool softtlb_may_hold(const struct mmu *, gpa_t, bool write);
void softtlb_fill(struct mmu *, uint32_t va, struct softtlb_page);

#endif
