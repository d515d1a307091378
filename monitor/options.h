/*
 * The command line: QEMU's words and meanings, parsed into plain data.
 *
 * Parsing opens nothing and starts nothing; it only fails (with one line that says what is wrong
 * and what to do) or fills `struct options`. Strings point into argv or into the options' own
 * memory.
 */
#ifndef RINGFENCE_MONITOR_OPTIONS_H
#define RINGFENCE_MONITOR_OPTIONS_H

#include "cpu/cpu.h"
#include "cpu/log.h"
#include "devices/devices.h"

#include <stdio.h>

#define RINGFENCE_VERSION "0.1.0"

enum { OPTIONS_MAX_SERIAL = 4, OPTIONS_MAX_MONITORS = 4, OPTIONS_ERROR_LEN = 512 };

enum accel_kind { ACCEL_DBT, ACCEL_INTERP };
enum accel_lookup { LOOKUP_AUTO, LOOKUP_ON, LOOKUP_OFF };
enum accel_direct { DIRECT_AUTO, DIRECT_ON, DIRECT_OFF };

struct accel_options {
	enum accel_kind kind;
	bool lockstep;
	bool verify;
	bool counts;
	bool perfmap, jitdump;
	enum accel_lookup lookup;
	enum accel_direct direct;
	uint64_t tc_size; /* bytes; 0: the translator's default */
};

struct options {
	uint64_t ram; /* bytes, whole pages */
	const char *kernel, *initrd, *append;
	bool nographic, display_none, nodefaults;
	const char *serial[OPTIONS_MAX_SERIAL];
	unsigned serial_count;
	const char *debugcon;
	const char *monitor[OPTIONS_MAX_MONITORS]; /* "none" is one */
	unsigned monitor_count;
	const char *qmp[OPTIONS_MAX_MONITORS];
	unsigned qmp_count;
	const char *gdb;   /* device of the gdb server; null: none */
	bool start_paused; /* -S */
	bool no_reboot, no_shutdown;
	struct cpu_model cpu;
	struct accel_options accel;
	struct rtc_config rtc;
	bool debug_exit;
	uint16_t debug_exit_base, debug_exit_size;
	const char *name;
	const char *pidfile;
	const char *tc_report; /* written at the end; null: none */
	unsigned log_mask; /* LOG_* */
	const char *log_file;
	struct log_range log_range[LOG_MAX_RANGES]; /* -dfilter */
	unsigned log_ranges;
};

enum options_result {
	OPTIONS_RUN,  /* run the machine */
	OPTIONS_DONE, /* something like -help was asked for and printed to `out` */
	OPTIONS_FAIL, /* `err` says why */
};

/*
 * Parse argv[1..]. `out` receives help texts. `err` has room for errlen bytes and
 * receives one line without "ringfence:" and without a newline.
 */
enum options_result options_parse(struct options *, int argc, char **argv, FILE *out, char *err,
				  size_t errlen);

#endif
