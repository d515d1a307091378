/*
 * Inside the gdb server.
 *
 *   chardev --bytes--> I/O thread: gdb.c copies them --vm_post--> vCPU thread: gdb_packet.c frames them,
 *   gdb_command.c answers, with gdb_regs.c (registers, target description), gdb_memory.c, gdb_query.c
 *
 * All but the hand-over of bytes happens on the vCPU thread between two instructions, so that a packet sees one
 * consistent state and needs no lock.
 */
#ifndef RINGFENCE_MONITOR_GDB_INTERNAL_H
#define RINGFENCE_MONITOR_GDB_INTERNAL_H

#include "monitor/debug.h"
#include "monitor/gdb.h"
#include "monitor/run_state.h"
#include "monitor/vm_internal.h"

/* ---- framing (gdb_packet.c) ---- */

enum { GDB_PACKET_MAX = 0x4000 }; /* of data, after unescaping; also of what we send */

struct gdb_parser {
	enum { GDB_IDLE, GDB_DATA, GDB_ESCAPE, GDB_SUM1, GDB_SUM2 } state;
	uint8_t sum, want;
	bool too_long;
	unsigned len;
	char data[GDB_PACKET_MAX + 1]; /* of a packet: ended by a zero, though it may contain others */
};

enum gdb_item {
	GDB_NOTHING,   /* in the middle of something */
	GDB_PACKET,    /* parser->data, len */
	GDB_BAD_SUM,   /* ask for it again */
	GDB_TOO_LONG,  /* well-formed, but longer than we said we take */
	GDB_ACK, GDB_NACK,
	GDB_INTERRUPT, /* Ctrl-C */
};
enum gdb_item gdb_parse(struct gdb_parser *, uint8_t byte);

/* A packet to be: what does not fit is left out. */
struct gdb_reply {
	unsigned len;
	char data[GDB_PACKET_MAX];
};
void gdb_put(struct gdb_reply *, const char *text);
void gdb_putf(struct gdb_reply *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gdb_put_hex(struct gdb_reply *, const void *data, size_t len);
/* Data as itself, with the four special characters escaped; returns how much of it fitted. */
size_t gdb_put_binary(struct gdb_reply *, const void *data, size_t len);
/* $data#sum into out, which has room for GDB_PACKET_MAX + 4; the length. */
size_t gdb_frame(const struct gdb_reply *, char *out);

/* Reading. Each moves *p past what it took; false: *p does not start with that. */
bool gdb_get_char(const char **p, char c);
bool gdb_get_hex(const char **p, uint64_t *value); /* 1 to 16 digits */
/* 2 * len digits, all there. */
bool gdb_get_bytes(const char **p, void *out, size_t len);

/* ---- the session ---- */

enum { GDB_CHUNKS = 16, GDB_CHUNK_SIZE = 4096 };

struct gdb_chunk {
	struct gdb *g;
	bool used; /* machine lock */
	unsigned len;
	uint8_t data[GDB_CHUNK_SIZE];
};

struct gdb {
	struct vm *vm;
	struct chardev *dev;
	struct gdb_chunk chunk[GDB_CHUNKS];

	/* vCPU thread */
	bool connected;
	struct gdb_parser parser;
	struct gdb_reply reply, console;
	char frame[GDB_PACKET_MAX + 4]; /* the last one sent, to be sent again */
	size_t frame_len;
	bool no_ack;
	bool swbreak, hwbreak; /* the debugger knows these stop reasons */
	bool waiting;   /* for a stop: the reply to c, s, vCont */
	bool interrupted; /* Ctrl-C came while the guest stood still: for when it goes on */
	bool was_running; /* when the debugger came */
	unsigned step_flags;
	char software, hardware; /* their addresses are the owners of Z0 and of Z1-Z4 */
};

/* gdb.c: send g->reply; `console` as console output of a running command. */
void gdb_send(struct gdb *, const struct gdb_reply *);
/* Feed bytes as from the debugger: vCPU thread. */
void gdb_input(struct gdb *, const uint8_t *, size_t);
/* The listener. */
vm_event_fn gdb_on_event;
/* The debugger is there, or gone. */
void gdb_attached(struct gdb *);
void gdb_detached(struct gdb *, bool resume);

/* ---- commands ---- */

/*
 * Act on the packet and write the answer into g->reply. `p` is what follows the command's
 * name, n its length. False: there is no answer now (a stop will be).
 */
typedef bool gdb_command_fn(struct gdb *, const char *p, size_t n);

/* gdb_command.c */
void gdb_execute(struct gdb *, const char *packet, size_t n);
bool gdb_error(struct gdb *, unsigned number); /* true */
bool gdb_ok(struct gdb *);                     /* true */
void gdb_put_stop(struct gdb *);               /* the stop reply */
enum { GDB_EINVAL = 22, GDB_EFAULT = 14, GDB_ENOSPC = 28 };

/* gdb_memory.c */
gdb_command_fn gdb_read_memory, gdb_write_memory, gdb_write_binary, gdb_insert_point, gdb_remove_point;

/* gdb_query.c */
gdb_command_fn gdb_query, gdb_set;

/* ---- registers (gdb_regs.c, gdb_target.c) ---- */

gdb_command_fn gdb_read_all, gdb_write_all, gdb_read_register, gdb_write_register;
void gdb_put_usual(struct gdb *); /* registers in a stop reply */

enum gdb_type {
	GDB_INT32, GDB_CODE, GDB_STACK, GDB_EFLAGS, GDB_X87, GDB_X87_CONTROL, GDB_XMM, GDB_MXCSR, GDB_CR0, GDB_CR4, GDB_EFER,
};
struct gdb_reg {
	const char *name;
	enum gdb_type type;
	unsigned size; /* bytes */
	void (*get)(const struct cpu *, unsigned arg, void *out);
	/* False: the value is not possible. */
	bool (*set)(struct gdb *, unsigned arg, const void *value);
	unsigned arg;
	const char *feature; /* where a feature begins: its name */
};
extern const struct gdb_reg gdb_regs[];
extern const unsigned gdb_reg_count;

/* The target description, made once; never null, null-terminated. */
const char *gdb_target_xml(void);

#endif
