/*
 * What the model must know of the host: which of the host's SIMD instructions
 * can be borrowed, whether its TSC is invariant, and which
 * speculative-execution flaws guest code is free of.
 *
 * Guest code runs by translation on the host's processor, so it inherits the
 * host's flaws except where the design closes them:
 *
 *   Meltdown, L1TF   The guest kernel's pages are in another window than the
 *                    user's; a translated user access cannot form an address
 *                    outside its window, not even speculatively, and guest page
 *                    tables never reach the hardware. Always closed.
 *   Machine-check on page-size change: the guest does not own the ITLB's page
 *                    tables. Always closed.
 *   The others       are closed when the host's kernel says "Not affected".
 */
#include "cpu/transfer.h"

#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* IA32_ARCH_CAPABILITIES (SDM: "IA32_ARCH_CAPABILITIES"). */
#define ARCH_CAP_RDCL_NO	(1ull << 0)
#define ARCH_CAP_SSB_NO		(1ull << 4)
#define ARCH_CAP_MDS_NO		(1ull << 5)
#define ARCH_CAP_PSCHANGE_MC_NO (1ull << 6)
#define ARCH_CAP_TAA_NO		(1ull << 8)
#define ARCH_CAP_SBDR_SSDP_NO	(1ull << 13)
#define ARCH_CAP_FBSDP_NO	(1ull << 14)
#define ARCH_CAP_PSDP_NO	(1ull << 15)
#define ARCH_CAP_BHI_NO		(1ull << 20)
#define ARCH_CAP_GDS_NO		(1ull << 26)
#define ARCH_CAP_RFDS_NO	(1ull << 27)

struct host_flaw {
	const char *file;
	const char *verdict; /* text that clears the host */
	uint64_t free_of;
};

static const struct host_flaw flaws[] = {
	{"spec_store_bypass", "Not affected", ARCH_CAP_SSB_NO},
	{"mds", "Not affected", ARCH_CAP_MDS_NO},
	{"tsx_async_abort", "Not affected", ARCH_CAP_TAA_NO},
	{"mmio_stale_data", "Not affected",
	 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO},
	{"gather_data_sampling", "Not affected", ARCH_CAP_GDS_NO},
	{"reg_file_data_sampling", "Not affected", ARCH_CAP_RFDS_NO},
	{"spectre_v2", "BHI: Not affected", ARCH_CAP_BHI_NO},
};

/* A host that does not say is taken to be affected. */
static bool host_not_affected(const char *file, const char *verdict)
{
	char path[128], text[512] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/vulnerabilities/%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && strstr(text, verdict);
}

uint64_t host_arch_capabilities(void)
{
	uint64_t caps = ARCH_CAP_RDCL_NO | ARCH_CAP_PSCHANGE_MC_NO;

	for (unsigned i = 0; i < ARRAY_LEN(flaws); i++) {
		if (host_not_affected(flaws[i].file, flaws[i].verdict))
			caps |= flaws[i].free_of;
	}
	return caps;
}

bool host_tsc_invariant(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> F87D_INVTSC & 1);
}

uint32_t host_leaf1_ecx(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) ? c : 0;
}
