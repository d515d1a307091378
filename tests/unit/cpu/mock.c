/* The machine of mock.h. */
#include "tests/unit/cpu/mock.h"

#include <stdlib.h>
#include <string.h>

struct mock *mock_of(struct cpu *cpu)
{
	return cpu->ops_ctx;
}

static enum outcome page_fault(struct cpu *cpu, uint32_t addr, unsigned acc, bool present)
{
	uint32_t error = (present ? PF_P : 0) | (acc & (ACC_WRITE | ACC_RMW) ? PF_W : 0) |
			 (acc & ACC_USER ? PF_U : 0);
	cpu->fault = (struct cpu_fault){
		.vector = EXC_PF, .has_error = true, .error = error, .cr2 = addr};
	return OUT_FAULT;
}

static enum outcome check(struct cpu *cpu, gva_t at, unsigned len, unsigned acc)
{
	struct mock *m = mock_of(cpu);

	for (unsigned i = 0; i < len; i++) {
		uint32_t addr = (uint32_t)(at.v + i);
		if (addr >= MOCK_RAM)
			return page_fault(cpu, addr, acc, false);
		unsigned page = m->page[addr >> PAGE_SHIFT];
		if (page & MOCK_ABSENT)
			return page_fault(cpu, addr, acc, false);
		if (((page & MOCK_READONLY) && (acc & (ACC_WRITE | ACC_RMW))) ||
		    ((page & MOCK_SUPERVISOR) && (acc & ACC_USER)))
			return page_fault(cpu, addr, acc, true);
	}
	return OUT_OK;
}

static enum outcome mock_read(struct cpu *cpu, gva_t at, void *to, unsigned len, unsigned acc)
{
	if (check(cpu, at, len, acc) != OUT_OK)
		return OUT_FAULT;
	for (unsigned i = 0; i < len; i++)
		((uint8_t *)to)[i] = mock_of(cpu)->ram[(uint32_t)(at.v + i)];
	return OUT_OK;
}

static enum outcome mock_write(struct cpu *cpu, gva_t at, const void *from, unsigned len,
			       unsigned acc)
{
	if (check(cpu, at, len, acc | ACC_WRITE) != OUT_OK)
		return OUT_FAULT;
	for (unsigned i = 0; i < len; i++)
		mock_of(cpu)->ram[(uint32_t)(at.v + i)] = ((const uint8_t *)from)[i];
	return OUT_OK;
}

static enum outcome mock_fetch(struct cpu *cpu, gva_t at, uint8_t *to, unsigned max, unsigned *got)
{
	unsigned acc = ACC_EXEC | cpu_acc(cpu);

	for (*got = 0; *got < max; (*got)++) {
		if (mock_read(cpu, gva((uint32_t)(at.v + *got)), to + *got, 1, acc) != OUT_OK)
			break;
	}
	return *got ? OUT_OK : OUT_FAULT;
}

static uint32_t mock_in(struct cpu *cpu, uint16_t port, unsigned size)
{
	struct mock *m = mock_of(cpu);
	m->ins++;
	m->last_port = port;
	m->last_io_size = size;
	return m->next_in;
}

static void mock_out(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
	struct mock *m = mock_of(cpu);
	m->outs++;
	m->last_port = port;
	m->last_io_size = size;
	m->last_out = value;
}

static void mock_paging(struct cpu *cpu, bool flush, bool global)
{
	mock_of(cpu)->paging_changes++;
	mock_of(cpu)->flushes += flush;
	mock_of(cpu)->global_flushes += global;
}

static void mock_invlpg(struct cpu *cpu, gva_t at)
{
	mock_of(cpu)->invlpgs++;
	mock_of(cpu)->last_invlpg = at.v;
}

static void mock_apic(struct cpu *cpu)
{
	mock_of(cpu)->apic_changes++;
}

static void mock_ferr(struct cpu *cpu, bool level)
{
	mock_of(cpu)->ferr = level;
}

static void mock_read_phys(struct cpu *cpu, gpa_t at, void *to, unsigned len)
{
	memset(to, 0xff, len);
	if (at.v + len <= MOCK_RAM)
		memcpy(to, mock_of(cpu)->ram + at.v, len);
}

static const struct cpu_ops mock_ops = {
	.read = mock_read,
	.write = mock_write,
	.probe = check,
	.fetch = mock_fetch,
	.in = mock_in,
	.out = mock_out,
	.paging_changed = mock_paging,
	.invlpg = mock_invlpg,
	.apic_base_changed = mock_apic,
	.ferr = mock_ferr,
	.read_phys = mock_read_phys,
};

struct mock *mock_create(void)
{
	struct mock *m = aligned_alloc(64, (sizeof(*m) + 63) & ~(size_t)63);
	char err[128];

	assert_non_null(m);
	memset(m, 0, sizeof(*m));
	if (!cpu_model_parse("max", &m->model, err, sizeof(err)))
		fail_msg("%s", err);
	m->cpu.ops = &mock_ops;
	m->cpu.ops_ctx = m;
	m->cpu.model = &m->model;
	cpu_reset(&m->cpu);
	return m;
}

void mock_destroy(struct mock *m)
{
	free(m);
}

void mock_put(struct mock *m, uint32_t addr, const void *from, unsigned len)
{
	assert_true(addr + len <= MOCK_RAM);
	memcpy(m->ram + addr, from, len);
}

void mock_put16(struct mock *m, uint32_t addr, uint16_t v)
{
	mock_put(m, addr, &v, 2);
}

void mock_put32(struct mock *m, uint32_t addr, uint32_t v)
{
	mock_put(m, addr, &v, 4);
}

uint16_t mock_get16(const struct mock *m, uint32_t addr)
{
	uint16_t v;
	assert_true(addr + 2 <= MOCK_RAM);
	memcpy(&v, m->ram + addr, 2);
	return v;
}

uint32_t mock_get32(const struct mock *m, uint32_t addr)
{
	uint32_t v;
	assert_true(addr + 4 <= MOCK_RAM);
	memcpy(&v, m->ram + addr, 4);
	return v;
}

void mock_descriptor(struct mock *m, uint32_t table, uint16_t sel, uint32_t base, uint32_t limit20,
		     unsigned attr)
{
	uint32_t at = table + (sel & ~7u);
	mock_put32(m, at, (limit20 & 0xffff) | base << 16);
	mock_put32(m, at + 4,
		   (base >> 16 & 0xff) | (attr & 0xff) << 8 | (limit20 & 0xf0000) |
			   (attr & 0xf00) << 12 | (base & 0xff000000));
}

void mock_gate(struct mock *m, uint32_t addr, uint16_t sel, uint32_t off, unsigned type,
	       unsigned dpl, bool present, unsigned params)
{
	mock_put32(m, addr, (off & 0xffff) | (uint32_t)sel << 16);
	mock_put32(m, addr + 4,
		   (off & 0xffff0000) | (unsigned)present << 15 | dpl << 13 | type << 8 | params);
}

static void load(struct mock *m, unsigned seg, uint16_t sel)
{
	struct descriptor d = {mock_get32(m, MOCK_GDT + (sel & ~7u)),
			       mock_get32(m, MOCK_GDT + (sel & ~7u) + 4)};
	desc_to_segment(&d, sel, &m->cpu.seg[seg]);
}

static void furnish(struct mock *m)
{
	const unsigned flat = SEG_P | SEG_S | SEG_DB | SEG_G | SEG_WRITE | SEG_ACCESSED;
	const uint16_t code[4] = {SEL_CODE0, SEL_CODE1, SEL_CODE2, SEL_CODE3};
	const uint16_t data[4] = {SEL_DATA0, SEL_DATA1, SEL_DATA2, SEL_DATA3};
	struct cpu *c = &m->cpu;

	for (unsigned dpl = 0; dpl < 4; dpl++) {
		mock_descriptor(m, MOCK_GDT, code[dpl], 0, 0xfffff,
				flat | SEG_CODE | dpl << SEG_DPL_SHIFT);
		mock_descriptor(m, MOCK_GDT, data[dpl], 0, 0xfffff, flat | dpl << SEG_DPL_SHIFT);
	}
	mock_descriptor(m, MOCK_GDT, SEL_CONF0, 0, 0xfffff, flat | SEG_CODE | SEG_DOWN);
	mock_descriptor(m, MOCK_GDT, SEL_CODE16, MOCK_CODE, 0xffff,
			SEG_P | SEG_S | SEG_CODE | SEG_WRITE | 1);
	mock_descriptor(m, MOCK_GDT, SEL_DATA16, 0, 0xffff, SEG_P | SEG_S | SEG_WRITE | 1);
	mock_descriptor(m, MOCK_GDT, SEL_TSS, MOCK_TSS, 0x0fff, SEG_P | 11);
	mock_descriptor(m, MOCK_GDT, SEL_TSS2, MOCK_TSS2, 0x0fff, SEG_P | 9);
	mock_descriptor(m, MOCK_GDT, SEL_LDT, MOCK_LDT, 0x0ff, SEG_P | 2);
	for (unsigned level = 0; level < 3; level++) {
		mock_put32(m, MOCK_TSS + 4 + level * 8, MOCK_STACK0 + level * 0x1000);
		mock_put16(m, MOCK_TSS + 8 + level * 8, data[level]);
	}
	mock_put16(m, MOCK_TSS + 0x66, 0x68);
	memset(m->ram + MOCK_TSS + 0x68, 0xff, 0x1000 - 0x68);
	c->gdtr = (struct cpu_table){MOCK_GDT, 0x1ff};
	c->idtr = (struct cpu_table){MOCK_IDT, 0x7ff};
	c->cr0 = CR0_PE | CR0_ET | CR0_NE;
	load(m, S_TR, SEL_TSS);
	load(m, S_LDTR, SEL_LDT);
}

void mock_protect(struct mock *m, unsigned cpl)
{
	const uint16_t code[4] = {SEL_CODE0, SEL_CODE1, SEL_CODE2, SEL_CODE3};
	const uint16_t data[4] = {SEL_DATA0, SEL_DATA1, SEL_DATA2, SEL_DATA3};

	furnish(m);
	load(m, S_CS, code[cpl]);
	for (unsigned s = 0; s < 6; s++)
		if (s != S_CS)
			load(m, s, data[cpl]);
	m->cpu.cpl = (uint8_t)cpl;
	m->cpu.eflags = FL_FIXED1;
	m->cpu.rip = MOCK_CODE;
	/* Half-way down, so that the level's stack from the TSS and the running one can be told
	 * apart. */
	m->cpu.gpr[R_ESP] = MOCK_STACK0 + cpl * 0x1000 - 0x800;
}

void mock_vm86(struct mock *m, uint16_t cs, uint16_t ip, unsigned iopl)
{
	furnish(m);
	m->cpu.cpl = 3;
	m->cpu.eflags = FL_FIXED1 | FL_VM | iopl << 12;
	for (unsigned s = 0; s < 6; s++)
		cpu_set_real_segment(&m->cpu, s, 0x2000);
	cpu_set_real_segment(&m->cpu, S_CS, cs);
	m->cpu.rip = ip;
	m->cpu.gpr[R_ESP] = 0x3000;
}

void mock_real(struct mock *m, uint16_t cs, uint16_t ip)
{
	m->cpu.cr0 = CR0_ET;
	m->cpu.cpl = 0;
	m->cpu.eflags = FL_FIXED1;
	for (unsigned s = 0; s < 6; s++)
		cpu_set_real_segment(&m->cpu, s, 0);
	cpu_set_real_segment(&m->cpu, S_CS, cs);
	m->cpu.rip = ip;
	m->cpu.gpr[R_ESP] = 0x8000;
	m->cpu.idtr = (struct cpu_table){0, 0x3ff};
}

void mock_save(const struct mock *m, struct cpu *copy)
{
	memcpy(copy, &m->cpu, sizeof(*copy));
}

bool mock_same(const struct mock *m, const struct cpu *copy)
{
	struct cpu now;

	memcpy(&now, &m->cpu, sizeof(now));
	memcpy(&now.fault, &copy->fault, sizeof(now.fault));
	return memcmp(&now, copy, sizeof(now)) == 0;
}

enum outcome mock_exec(struct mock *m, const uint8_t *code, unsigned len)
{
	mock_put(m, (uint32_t)(m->cpu.seg[S_CS].base + m->cpu.rip), code, len);
	return cpu_interpret_one(&m->cpu);
}

void mock_expect_fault_at(struct mock *m, enum outcome o, const struct cpu *before, unsigned vector,
			  uint32_t error, const char *file, int line)
{
	const struct cpu_fault *f = &m->cpu.fault;

	if (o != OUT_FAULT || f->vector != vector || f->error != error) {
		print_error("outcome %d, vector %u, error %#x; expected vector %u, error %#x\n", o,
			    f->vector, f->error, vector, error);
		_fail(file, line);
	}
	if (before && !mock_same(m, before)) {
		print_error("the fault changed the state\n");
		_fail(file, line);
	}
}
