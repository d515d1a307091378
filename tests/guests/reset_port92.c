/* Reset by bit 0 of port 92h. With -no-reboot the VMM must end; coming back is the failure. */
#include "lib/guest.h"

void guest_main(void)
{
	puts("RESET port92\n");
	outb(0x92, inb(0x92) | 1);
	for (u64 start = rdtsc(); rdtsc() - start < 3000000000ull;)
		;
	report(false, "still alive");
}
