/*
 * A guest to be debugged: something to step through, break in, watch and interrupt, in each mode. It exits with
 * isa-debug-exit value 0 when a debugger has released it.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

extern u8 gdt[], tss[];
void enter_user(void (*fn)(void));
void user_done(void);
void visit_real_mode(void);
void guest_main(void);

volatile int watched, read_only = 7, released, rounds;
static volatile u32 page_directory[1024] __attribute__((aligned(4096)));
static u64 idt[256];

static void outl(u16 port, u32 value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

int add(int a, int b)
{
	int sum = a + b;
	return sum;
}

int fibonacci(int n)
{
	if (n < 2)
		return n;
	return add(fibonacci(n - 1), fibonacci(n - 2));
}

void touch(void)
{
	int before = watched;
	for (int i = 0; i < 3; i++)
		rounds++;
	watched = before + 41;
	watched++;
	rounds += read_only;
}

void load_vectors(void)
{
	static const u32 pattern[4] = {0x11111111, 0x22222222, 0x33333333, 0x44444444};
	u32 cr4;

	__asm__ volatile("movl %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movl %0, %%cr4" : : "r"(cr4 | 0x600));
	__asm__ volatile("fninit; fld1; fldpi; movups %0, %%xmm1" : : "m"(pattern));
}

void vectors_loaded(void)
{
}

void spin(void)
{
	while (!released)
		rounds++;
}

void user_code(void)
{
	watched = add(100, 200);
	__asm__ volatile("int $0x80");
}

/* Identity, and the same again at 1 GiB. */
void enable_paging(void)
{
	u32 value;

	page_directory[0] = page_directory[256] = 0x87;
	__asm__ volatile("movl %%cr4, %0; orl $0x10, %0; movl %0, %%cr4" : "=&r"(value));
	__asm__ volatile("movl %0, %%cr3" : : "r"(page_directory));
	__asm__ volatile("movl %%cr0, %0; orl $0x80000000, %0; movl %0, %%cr0" : "=&r"(value));
}

static void prepare_descriptors(void)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (u32)idt};
	u32 base = (u32)tss, handler = (u32)user_done;

	gdt[0x2a] = (u8)base;
	gdt[0x2b] = (u8)(base >> 8);
	gdt[0x2c] = (u8)(base >> 16);
	gdt[0x2f] = (u8)(base >> 24);
	idt[0x80] = (handler & 0xffff) | 8u << 16 | (u64)(0xee00u | (handler & 0xffff0000)) << 32;
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void guest_main(void)
{
	prepare_descriptors();
	watched = fibonacci(6);
	touch();
	load_vectors();
	vectors_loaded();
	visit_real_mode();
	enable_paging();
	enter_user(user_code);
	spin();
	outl(0xf4, 0);
}
