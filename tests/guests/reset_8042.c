/* Reset by the keyboard controller: FEh to port 64h pulses the reset line. With -no-reboot the VMM
 * must end; coming back is the failure. */
#include "lib/guest.h"

void guest_main(void)
{
	puts("RESET 8042\n");
	while (inb(0x64) & 2)
		;
	outb(0x64, 0xfe);
	for (u64 start = rdtsc(); rdtsc() - start < 3000000000ull;)
		;
	report(false, "still alive");
}
