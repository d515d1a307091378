/*
 * gdb on the monitor's own process: how to unwind out of translated code.
 *
 * There is no host stack in translated code, but the frame of tc_enter that it was entered from is known all the time: its stack
 * pointer stands in struct tcx, which R14 points at (enter.S). So one rule holds at every instruction of the TC, in DWARF's
 * terms:
 *
 *     CFA = [R14 + TCX_HOST_RSP] + 64        the return address and what tc_enter has pushed lie below it
 *
 * gdb reads that from an ELF file in memory, which it finds by way of __jit_debug_descriptor ("JIT Compilation Interface" in
 * gdb's manual). It describes the whole TC as one function without instructions of its own; nothing has to be done
 * when code comes and goes.
 */
#include "translator/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* ---- gdb's interface: names, layouts and values are gdb's ---- */

struct jit_code_entry {
	struct jit_code_entry *next_entry, *prev_entry;
	const char *symfile_addr;
	uint64_t symfile_size;
};

struct jit_descriptor {
	uint32_t version, action_flag;
	struct jit_code_entry *relevant_entry, *first_entry;
};

enum { JIT_NOACTION, JIT_REGISTER_FN, JIT_UNREGISTER_FN };

void __jit_debug_register_code(void);
extern struct jit_descriptor __jit_debug_descriptor;

/* gdb has a breakpoint here. */
__attribute__((noinline, used)) void __jit_debug_register_code(void)
{
	__asm__ volatile("");
}

__attribute__((used)) struct jit_descriptor __jit_debug_descriptor = {.version = 1};

/* ---- the rule ---- */

enum { DW_REG_RIP = 16, DW_CFA_def_cfa_expression = 0x0f, DW_CFA_offset = 0x80 };
enum { DW_OP_breg14 = 0x7e, DW_OP_deref = 0x06, DW_OP_plus_uconst = 0x23 };

/* What tc_enter pushes, from the CFA downwards in units of 8: RIP, RBX, RBP, R12-R15 by DWARF's numbers, and a gap. */
#define SAVED(reg, slot) DW_CFA_offset | (reg), slot
enum { ENTER_FRAME = 64 };

struct frame_section {
	uint32_t cie_length, cie_id;
	uint8_t version, augmentation, code_align, data_align, return_reg;
	uint8_t rule[7], saved[14], cie_pad[2];
	uint32_t fde_length, cie_offset;
	uint64_t start, size;
} __attribute__((packed));

static struct frame_section frame_section(uint64_t code, uint64_t size)
{
	struct frame_section f = {
		.cie_length = offsetof(struct frame_section, fde_length) - 4,
		.cie_id = 0xffffffff,
		.version = 1,
		.code_align = 1,
		.data_align = 0x78, /* -8 */
		.return_reg = DW_REG_RIP,
		.rule = {DW_CFA_def_cfa_expression, 5, DW_OP_breg14, TCX_HOST_RSP, DW_OP_deref, DW_OP_plus_uconst, ENTER_FRAME},
		.saved = {SAVED(DW_REG_RIP, 1), SAVED(3, 2), SAVED(6, 3), SAVED(12, 4), SAVED(13, 5), SAVED(14, 6), SAVED(15, 7)},
		.fde_length = sizeof(f) - offsetof(struct frame_section, cie_offset),
		.start = code,
		.size = size,
	};

	return f;
}

/* ---- the file ---- */

enum { SEC_NULL, SEC_TEXT, SEC_FRAME, SEC_SYMBOLS, SEC_NAMES, SECTIONS };

static const char names[] = "\0.text\0.debug_frame\0.symtab\0.strtab\0translated_code";
enum { NAME_TEXT = 1, NAME_FRAME = 7, NAME_SYMTAB = 20, NAME_STRTAB = 28, NAME_CODE = 36 };

struct image {
	Elf64_Ehdr header;
	Elf64_Shdr section[SECTIONS];
	Elf64_Sym symbol[2];
	struct frame_section frame;
	char names[sizeof(names)];
};

struct gdbjit {
	struct jit_code_entry entry;
	struct image image;
};

static void fill_sections(struct image *i, uint64_t code, uint64_t size)
{
	i->section[SEC_TEXT] = (Elf64_Shdr){
		.sh_name = NAME_TEXT, .sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR, .sh_addr = code,
		.sh_size = size, .sh_addralign = CCF_ALIGN};
	i->section[SEC_FRAME] = (Elf64_Shdr){
		.sh_name = NAME_FRAME, .sh_type = SHT_PROGBITS, .sh_offset = offsetof(struct image, frame),
		.sh_size = sizeof(i->frame), .sh_addralign = 8};
	i->section[SEC_SYMBOLS] = (Elf64_Shdr){
		.sh_name = NAME_SYMTAB, .sh_type = SHT_SYMTAB, .sh_offset = offsetof(struct image, symbol),
		.sh_size = sizeof(i->symbol), .sh_link = SEC_NAMES, .sh_info = 1, .sh_addralign = 8,
		.sh_entsize = sizeof(Elf64_Sym)};
	i->section[SEC_NAMES] = (Elf64_Shdr){
		.sh_name = NAME_STRTAB, .sh_type = SHT_STRTAB, .sh_offset = offsetof(struct image, names),
		.sh_size = sizeof(names), .sh_addralign = 1};
}

static void fill_image(struct image *i, uint64_t code, uint64_t size)
{
	i->header = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_shoff = offsetof(struct image, section),
		.e_ehsize = sizeof(i->header),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = SECTIONS,
		.e_shstrndx = SEC_NAMES,
	};
	fill_sections(i, code, size);
	i->symbol[1] = (Elf64_Sym){
		.st_name = NAME_CODE, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = SEC_TEXT, .st_value = code,
		.st_size = size};
	i->frame = frame_section(code, size);
	memcpy(i->names, names, sizeof(names));
}

static void tell(struct jit_code_entry *e, uint32_t action)
{
	__jit_debug_descriptor.relevant_entry = e;
	__jit_debug_descriptor.action_flag = action;
	__jit_debug_register_code();
	__jit_debug_descriptor.action_flag = JIT_NOACTION;
}

struct gdbjit *gdbjit_create(const void *code, size_t size)
{
	struct gdbjit *g = calloc(1, sizeof(*g));
	struct jit_code_entry *e;

	if (!g)
		return NULL; /* only backtraces miss it */
	fill_image(&g->image, (uint64_t)code, size);
	e = &g->entry;
	e->symfile_addr = (const char *)&g->image;
	e->symfile_size = sizeof(g->image);
	e->next_entry = __jit_debug_descriptor.first_entry;
	if (e->next_entry)
		e->next_entry->prev_entry = e;
	__jit_debug_descriptor.first_entry = e;
	tell(e, JIT_REGISTER_FN);
	return g;
}

void gdbjit_destroy(struct gdbjit *g)
{
	struct jit_code_entry *e;

	if (!g)
		return;
	e = &g->entry;
	if (e->prev_entry)
		e->prev_entry->next_entry = e->next_entry;
	else
		__jit_debug_descriptor.first_entry = e->next_entry;
	if (e->next_entry)
		e->next_entry->prev_entry = e->prev_entry;
	tell(e, JIT_UNREGISTER_FN);
	free(g);
}
