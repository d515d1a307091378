/* Start-up order and the banner. */
#include "kernel.h"

enum { MULTIBOOT_MAGIC = 0x2badb002 };
void kernel_main(uint32_t magic, uint32_t info);

/* Runs on the boot stack, which process_enter() leaves for good. */
void kernel_main(uint32_t magic, uint32_t info)
{
	descriptors_init();
	console_init();
	print("\n  Ringfence default guest\n"
	      "  ring 0 and ring 3, paging, a timer, two user processes. Type help.\n\n");
	if (magic != MULTIBOOT_MAGIC) {
		print("not started by a Multiboot loader (EAX %08x)\n", magic);
		return;
	}
	memory_init(to_virtual(info));
	timer_init();
	process_init(shell_main);
	process_start("counter", 0);
	process_start("spinner", 0);
	process_enter();
}
