/* All nanobenchmarks as a Multiboot kernel: "pae" on the command line for PAE page tables, names for only these. */
#include "kernel.h"
#include "nano.h"

struct multiboot_info {
	u32 flags, mem_lower, mem_upper, boot_device;
	const char *cmdline;
};
extern u32 boot_magic;
extern struct multiboot_info *boot_info;

bool nano_pae;

void nano_put(const char *s)
{
	puts(s);
}

static bool asked_for_pae(const char *s)
{
	for (; *s; s++) {
		if (s[0] == 'p' && s[1] == 'a' && s[2] == 'e' && (!s[3] || s[3] == ' '))
			return true;
	}
	return false;
}

void guest_main(void)
{
	const char *cmdline = boot_info->flags & 4 ? boot_info->cmdline : "";
	nano_pae = asked_for_pae(cmdline);
	nano_kernel_setup();
	nano_measure(nano_user_level, cmdline);
	nano_measure(nano_kernel_level, cmdline);
	puts("NANO end 0\n");
}
