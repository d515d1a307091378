/*
 * Inside the human monitor: the table of commands, and what a command works with.
 *
 * A command reads its arguments from the line with the hmp_take_* functions. Those that fail have written the message;
 * the command then just returns. Output goes to h->out.
 */
#ifndef RINGFENCE_MONITOR_HMP_INTERNAL_H
#define RINGFENCE_MONITOR_HMP_INTERNAL_H

#include "monitor/hmp.h"
#include "monitor/vm_internal.h"

#include <stdio.h>

struct hmp_command;

struct hmp {
	struct vm *vm;
	FILE *out;
	const char *args; /* what is left of the line */
	const struct hmp_command *command;
	bool info; /* the command is one of `info` */
	struct tc_trace **live; /* where a session takes a live trace from; null: not in a session */
	struct hmp_rest *rest;
};

struct hmp_command {
	const char *names;  /* "print|p" */
	const char *params; /* as shown by help */
	const char *help;
	void (*run)(struct hmp *);
};

/* X(names, parameters, function, help) */
#define HMP_COMMANDS(X)                                                                            \
	X("help|?", "[cmd]", help, "show the help")                                             \
	X("info|i", "[subcommand]", info, "show various information about the system state")    \
	X("quit|q", "", quit, "quit the emulator")                                              \
	X("stop|s", "", stop, "stop emulation")                                                 \
	X("cont|c", "", cont, "resume emulation")                                               \
	X("step", "[n]", step, "execute n instructions (default 1) and stop")                   \
	X("next|n", "[block]", next,                                                               \
	  "step over a call; 'block': to the end of the translated unit and on to the next one")   \
	X("x", "/fmt addr", x, "virtual memory dump starting at 'addr'")                 \
	X("xp", "/fmt addr", xp, "physical memory dump starting at 'addr'")              \
	X("print|p", "/fmt expr", print,                                                 \
	  "print expression value (use $reg for CPU register access)")                             \
	X("break|b",                                                                               \
	  "addr | port first[-last] [r|w|rw] | exception vector|all [mask [value]] | interrupt vector|all | cr n [mask] | " \
	  "mode [protected] [vm86] [paging] [ring]",                                               \
	  break, "stop before the instruction at virtual address 'addr', or before (mode: after) what is named") \
	X("watch", "addr [len] [r|w|rw]", watch,                                                   \
	  "stop after an instruction that writes (or reads) there; everything is slow meanwhile")  \
	X("delete|d", "number|all", delete, "remove breakpoints; 'info breakpoints' numbers them") \
	X("disas", "intel|att", disas, "syntax of disassembly in this session")                 \
	X("gva2gpa", "addr", gva2gpa, "print the guest physical address of a virtual one") \
	X("memsave", "addr size file", memsave,                                          \
	  "save to disk virtual memory dump starting at 'addr' of size 'size'")                    \
	X("pmemsave", "addr size file", pmemsave,                                        \
	  "save to disk physical memory dump starting at 'addr' of size 'size'")                   \
	X("log", "item1[,...]|none", log, "activate logging of the specified items")            \
	X("logfile", "filename", logfile, "output logs to 'filename'")                          \
	X("sendkey", "keys [hold_ms]", sendkey,                                                 \
	  "send keys to the VM (e.g. 'sendkey ctrl-alt-f1', default hold time=100 ms)")            \
	X("nmi", "", nmi, "inject an NMI")                                                      \
	X("system_reset", "", system_reset, "reset the system")                                 \
	X("system_powerdown", "", system_powerdown, "send system power down event")             \
	X("tc", "list|show|why|graph|verify|trace|counts|report ...", tc,                        \
	  "look into the translation cache; 'help tc' explains")

#define HMP_INFO_COMMANDS(X)                                                                       \
	X("breakpoints", "", info_breakpoints, "breakpoints and watchpoints of all debuggers")     \
	X("callouts", "", info_callouts, "what translated code calls C for")             \
	X("chardev", "", info_chardev, "show the character devices")                            \
	X("cpus", "", info_cpus, "show infos for each CPU")                              \
	X("irq", "", info_irq, "show the interrupts statistics (if available)")                 \
	X("jit", "", info_tc, "the same as info tc")                                     \
	X("kvm", "", info_kvm, "show KVM information")                                          \
	X("lapic", "", info_lapic, "show local apic state")                                     \
	X("mem", "", info_mem, "show the active virtual memory mappings")                \
	X("mtree", "", info_mtree, "show memory tree")                                          \
	X("name", "", info_name, "show the current VM name")                                    \
	X("pic", "", info_pic, "show PIC state")                                                \
	X("registers", "", info_registers, "show the cpu registers")                     \
	X("snapshots", "", info_snapshots,                                               \
	  "what the windows remember of the guest's page tables")                                  \
	X("stats", "", info_stats, "the statistics of all modules, as -d stats")         \
	X("status", "", info_status, "show the current VM status (running|paused)")             \
	X("tc", "", info_tc, "the translation cache in numbers")                         \
	X("tlb", "", info_tlb, "show virtual to physical memory mappings")               \
	X("uptime", "", info_uptime, "how long the machine has been there")                     \
	X("version", "", info_version, "show the version")                                      \
	X("windows", "", info_windows, "the windows: which address spaces, how filled")            \
	X("worlds", "", info_worlds, "user code that runs directly")

#define X(names, params, fn, help) void hmp_##fn(struct hmp *);
HMP_COMMANDS(X)
HMP_INFO_COMMANDS(X)
#undef X

/* ---- arguments (hmp_args.c) ---- */

enum { HMP_WORD_MAX = 1024 };

/* An error: the message (without a newline), and where help is to be had. */
void hmp_fail(struct hmp *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Is there more on the line? */
bool hmp_more(struct hmp *);
/* The next word ("..." may hold blanks); false with a message when there is none. */
bool hmp_take_word(struct hmp *, char *out, size_t outlen);
/* An expression; `must` says so when there is none. */
bool hmp_take_expression(struct hmp *, uint64_t *value);
/* Nothing may be left. */
bool hmp_take_end(struct hmp *);

/* "/4xb": only where the line has it. */
struct hmp_format {
	unsigned count;
	char format; /* o d u x c i */
	unsigned size; /* 1 2 4 8 */
};
bool hmp_take_format(struct hmp *, struct hmp_format *);

/* ---- expressions (hmp_expr.c) ---- */

/* Parse an expression off *text (C's numbers, $registers, + - * / % & | ^ ~, parentheses). Null, or what is wrong. */
const char *hmp_expression(const struct cpu *, const char **text, uint64_t *value);

/* ---- the report (hmp_report.c) ---- */

/* `tc report FILE`: a view as those of the translator for help and completion. */
extern const char hmp_report_name[], hmp_report_params[], hmp_report_help[];
void hmp_tc_report(struct hmp *);

/* ---- shared ---- */

/* Does the list "a|b" hold the word? */
bool hmp_named(const char *names, const char *word, size_t len);
/* Keys of sendkey, for completion (hmp_keys.c). */
const char *hmp_key_name(unsigned n);
/* Disassemble `count` instructions at an address (hmp_memory.c). */
void hmp_disassemble(struct hmp *, uint64_t address, unsigned count, bool physical);
/* Where the guest stands: the next instruction. */
void hmp_print_location(struct hmp *);

#endif
