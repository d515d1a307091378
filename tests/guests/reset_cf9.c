/* Reset by the chip set: a hard reset through CF9h. With -no-reboot the VMM must end; coming back
 * is the failure. */
#include "lib/guest.h"

void guest_main(void)
{
	puts("RESET cf9\n");
	outb(0xcf9, 2);
	outb(0xcf9, 6);
	for (u64 start = rdtsc(); rdtsc() - start < 3000000000ull;)
		;
	report(false, "still alive");
}
