/* Operations that user code can do too: their cost over native is the translator's. */
#include "nano.h"

/* Sixteen dependent multiplications: how fast this processor is just now, whatever it is. */
static void calibration(unsigned n)
{
	unsigned x = n;
	while (n--) {
		__asm__ volatile(".rept 16\n imull %0, %0\n .endr" : "+r"(x) : : "cc");
	}
}

/* Nothing but the loop around the others. */
static void loop(unsigned n)
{
	__asm__ volatile("1: decl %0\n jnz 1b" : "+r"(n) : : "cc");
}

static void callret(unsigned n)
{
	__asm__ volatile("	jmp 2f\n"
			 "1:	ret\n"
			 "2:	call 1b\n"
			 "	decl %0\n"
			 "	jnz 2b"
			 : "+r"(n)
			 :
			 : "cc", "memory");
}

/* Eight targets in turn: a predictor of the last target alone never hits. */
static void indirect(unsigned n)
{
	__asm__ volatile("	xorl %%edx, %%edx\n"
			 "1:	jmp *2f(, %%edx, 4)\n"
			 "	.pushsection .data\n"
			 "2:	.long 10f, 11f, 12f, 13f, 14f, 15f, 16f, 17f\n"
			 "	.popsection\n"
			 "10:	addl $3, %%edx\n jmp 3f\n"
			 "11:	addl $5, %%edx\n jmp 3f\n"
			 "12:	addl $7, %%edx\n jmp 3f\n"
			 "13:	addl $1, %%edx\n jmp 3f\n"
			 "14:	addl $3, %%edx\n jmp 3f\n"
			 "15:	addl $5, %%edx\n jmp 3f\n"
			 "16:	addl $7, %%edx\n jmp 3f\n"
			 "17:	addl $1, %%edx\n jmp 3f\n"
			 "3:	andl $7, %%edx\n"
			 "	decl %0\n"
			 "	jnz 1b"
			 : "+r"(n)
			 :
			 : "edx", "cc", "memory");
}

static unsigned char from[16 * 4096] __attribute__((aligned(4096)));
static unsigned char to[16 * 4096 + 64] __attribute__((aligned(4096)));

/* 4 KiB from one page boundary's neighbourhood to another's: each copy spans two pages on either side. */
static void rep_movs(unsigned n)
{
	while (n--) {
		unsigned at = n % 15 * 4096 + 2048;
		void *s = from + at, *d = to + at + 32;
		unsigned count = 1024;
		__asm__ volatile("rep movsl" : "+S"(s), "+D"(d), "+c"(count) : : "memory");
	}
}

/* The immediate of an instruction changed, and the instruction run. Its page holds nothing else. */
__asm__(".pushsection .snippets, \"awx\", @progbits\n"
	".balign 4096\n"
	"nano_patched:	movl $0, %eax\n"
	"	ret\n"
	".balign 4096\n"
	".popsection");
extern unsigned char nano_patched[];

static void self_modify(unsigned n)
{
	unsigned wrong = 0;
	for (unsigned i = 1; i <= n; i++) {
		unsigned value;
		*(volatile unsigned *)(nano_patched + 1) = i;
		__asm__ volatile("call nano_patched" : "=a"(value) : : "memory");
		wrong += value != i;
	}
	if (wrong)
		nano_put("FAIL self_modify: old code ran\n");
}

const struct nano nano_user_level[] = {
	{"calibration", calibration, 0},
	{"loop", loop, 0},
	{"callret", callret, 0},
	{"indirect", indirect, 0},
	{"rep_movs_4k", rep_movs, 0},
	{"self_modify", self_modify, 0},
	{0, 0, 0},
};
