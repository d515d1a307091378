/* Reset by a triple fault: an exception with an empty IDT. With -no-reboot the VMM must end; coming
 * back is the failure. */
#include "lib/guest.h"

void guest_main(void)
{
	puts("RESET triple\n");
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) nothing = {0, 0};

	__asm__ volatile("lidt %0; int3" : : "m"(nothing));
	for (u64 start = rdtsc(); rdtsc() - start < 3000000000ull;)
		;
	report(false, "still alive");
}
