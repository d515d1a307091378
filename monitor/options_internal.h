/*
 * The table of options, and the handlers it names (options_set.c, options_machine.c).
 */
#ifndef RINGFENCE_MONITOR_OPTIONS_INTERNAL_H
#define RINGFENCE_MONITOR_OPTIONS_INTERNAL_H

#include "monitor/options.h"

/* What a handler works with. */
struct option_context {
	struct options *o;
	const char *name; /* without dashes, as the user wrote it */
	FILE *out;
	char *err;
	size_t errlen;
};

/*
 * X(name, argument or null, handler, help)
 * The order is that of -help.
 */
#define OPTION_TABLE(X)                                                                            \
	X("kernel", "FILE", kernel, "boot FILE: a Linux bzImage or a Multiboot 1 kernel")          \
	X("initrd", "FILE", initrd,                                                                \
	  "initial RAM disk; for Multiboot: \"module1 args,module2 args,...\"")                    \
	X("append", "TEXT", append, "the kernel's command line")                                   \
	X("m", "[size=]N[k|M|G]", memory,                                                          \
	  "guest RAM, in MiB unless it has a suffix (default 128)")                                \
	X("cpu", "MODEL[,+FEATURE|,-FEATURE]", cpu, "processor model; -cpu help lists them")       \
	X("smp", "1", smp, "number of processors: one, for now")                                   \
	X("M", "pc[,accel=A]", machine, "machine type; -M help lists them")                        \
	X("machine", "pc[,accel=A]", machine, "the same")                                          \
	X("accel", "dbt[,lockstep=on][,tc-size=N][,...]", accel,                             \
	  "how guest code runs: dbt (translated) or interp; -accel help explains")                 \
	X("rtc", "[base=utc|localtime|DATE][,clock=host|rt|vm]", rtc,                              \
	  "real-time clock; DATE is 2026-01-31T12:00:00")                                          \
	X("nographic", NULL, nographic, "first serial port on this terminal; Ctrl-A H helps")      \
	X("display", "none", display, "there is no display: none is the only one")                 \
	X("vga", "none", vga, "there is no graphics card: none is the only one")                   \
	X("serial", "DEV", serial,                                                                 \
	  "next serial port: stdio, mon:stdio, file:PATH, unix:PATH, tcp:HOST:PORT, pty, null, "   \
	  "none")                                                                                  \
	X("debugcon", "DEV", debugcon, "port E9h debug console to DEV (as for -serial)")           \
	X("monitor", "DEV", monitor,                                                               \
	  "debug monitor on DEV (as for -serial), or none; without it behind Ctrl-A C")            \
	X("qmp", "DEV", qmp, "QEMU machine protocol on DEV, as in unix:PATH,server=on,wait=off")   \
	X("device", "isa-debug-exit[,iobase=N][,iosize=N]", device,                                \
	  "add a device; -device help lists them")                                                 \
	X("net", "none", net, "there is no network card yet: none is the only one")                \
	X("nic", "none", net, "the same")                                                          \
	X("nodefaults", NULL, nodefaults, "no serial port unless -serial asks for one")            \
	X("no-reboot", NULL, no_reboot, "exit instead of rebooting")                               \
	X("no-shutdown", NULL, no_shutdown, "stay, stopped, after the guest powers off")           \
	X("name", "NAME", name, "name of the machine, shown in messages")                          \
	X("pidfile", "FILE", pidfile, "write the process id to FILE while running")                \
	X("d", "CLASS,...", log_classes, "log; -d help lists the classes")                         \
	X("D", "FILE", log_file, "write the log to FILE instead of stderr")                        \
	X("dfilter", "RANGE[,RANGE...]", log_filter,                                               \
	  "log only blocks at START+LEN, START-LEN or FIRST..LAST (-d in_asm,op,out_asm,exec,cpu)") \
	X("tc-report", "FILE", tc_report, "write a page about the translation cache at the end")    \
	X("S", NULL, start_paused, "do not start the guest: a debugger or the monitor does")       \
	X("gdb", "DEV", gdb, "gdb server: tcp:[HOST]:PORT, unix:PATH, none")                       \
	X("s", NULL, gdb_default, "the same as -gdb tcp::1234")                                    \
	X("perfmap", NULL, perfmap, "write /tmp/perf-PID.map: names of translated code for perf")  \
	X("jitdump", NULL, jitdump, "write jit-PID.dump for perf inject --jit")                    \
	X("version", NULL, version, "print the version")                                           \
	X("help", NULL, help, "print this text")                                                   \
	X("h", NULL, help, "the same")

typedef enum options_result option_fn(struct option_context *, const char *arg);

#define X(name, arg, handler, text) option_fn option_set_##handler;
OPTION_TABLE(X)
#undef X

/* Write the one line and return OPTIONS_FAIL. */
enum options_result option_error(struct option_context *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
