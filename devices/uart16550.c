/*
 * The 16550A serial port, after National Semiconductor's PC16550D data sheet.
 *
 * Deviations, all invisible to a driver that keeps to the data sheet:
 *  - Transmission takes no time: a byte goes to the host's buffer at once and THRE
 *    stays set, so that a console write polls LSR once for each byte. Only when
 *    that buffer is full does the byte wait in the transmitter's FIFO, with THRE
 *    clear, until the host takes output again. A guest that writes on regardless
 *    loses nothing: the oldest byte is forced into the host's buffer.
 *  - For the same reason the transmitter's FIFO reset sends instead of discarding.
 *  - Reception waits for room in the FIFO, so overruns come from loopback and breaks
 *    alone. It runs at RX_PACE_NS for a character whatever the divisor says: faster
 *    than people set it, yet slow enough that a guest's line discipline, which has
 *    no way to stop us, can pass on a long paste. The divisor sets the character
 *    time for the FIFO time-out interrupt.
 *  - OUT2 does not gate the interrupt: the boards do, but much software written for
 *    emulators never sets it.
 *
 * COM1 and COM3 share IRQ 4, COM2 and COM4 IRQ 3; the shared level is an OR.
 *
 * Built with general registers only, for LSR on the lean path.
 */
#include "devices/chardev.h"
#include "devices/chips.h"

enum { RBR_THR_DLL, IER_DLM, IIR_FCR, LCR, MCR, LSR, MSR, SCR, UART_PORTS };

enum { IER_RX = 0x01, IER_THRE = 0x02, IER_LINE = 0x04, IER_MODEM = 0x08 };
enum {
	IIR_NONE = 0x01,
	IIR_MODEM = 0x00,
	IIR_THRE = 0x02,
	IIR_RX = 0x04,
	IIR_LINE = 0x06,
	IIR_TIMEOUT = 0x0c,
	IIR_FIFO = 0xc0
};
enum {
	FCR_ENABLE = 0x01,
	FCR_RX_RESET = 0x02,
	FCR_TX_RESET = 0x04,
	FCR_DMA = 0x08,
	FCR_TRIGGER_SHIFT = 6
};
enum { LCR_STOP = 0x04, LCR_PARITY = 0x08, LCR_DLAB = 0x80 };
enum {
	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08,
	MCR_LOOP = 0x10,
	MCR_MASK = 0x1f
};
enum {
	LSR_DR = 0x01,
	LSR_OE = 0x02,
	LSR_BI = 0x10,
	LSR_THRE = 0x20,
	LSR_TEMT = 0x40,
	LSR_FIFO_ERROR = 0x80
};
enum { MSR_TERI = 0x04, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };
enum { FIFO_SIZE = 16 };
enum { RX_PACE_NS = 50000 };
enum { CLOCK_HZ = 1843200, RESET_DIVISOR = 12 /* 9600 baud */ };

struct rx_char {
	uint8_t byte;
	bool brk;
};

struct uart16550 {
	struct machine *m;
	struct chardev *cd;
	struct line irq;
	unsigned index;
	bool irq_level;

	uint8_t ier, lcr, mcr, scr;
	uint16_t divisor;
	bool fifo;	 /* FCR bit 0 */
	uint8_t trigger; /* receiver's trigger level */

	struct rx_char rx[FIFO_SIZE];
	unsigned rx_head, rx_count;
	uint8_t rx_last; /* what an empty receiver reads as */
	bool overrun;
	bool timed_out; /* FIFO time-out interrupt */
	struct timer *timeout;
	int64_t rx_paid_until; /* when all characters so far would have arrived at RX_PACE_NS */
	struct timer *pace;

	uint8_t tx[FIFO_SIZE]; /* waits for the host; normally empty */
	unsigned tx_head, tx_count;
	bool thre_pending;

	uint8_t msr_lines, msr_delta;
};

/* ---- interrupts ---- */

static bool line_error(const struct uart16550 *u)
{
	return u->overrun || (u->rx_count && u->rx[u->rx_head].brk);
}

/* The highest interrupt: data sheet, "Interrupt Identification Register", table of priorities. */
static uint8_t pending(const struct uart16550 *u)
{
	if ((u->ier & IER_LINE) && line_error(u))
		return IIR_LINE;
	if ((u->ier & IER_RX) && u->rx_count >= (u->fifo ? u->trigger : 1))
		return IIR_RX;
	if ((u->ier & IER_RX) && u->timed_out)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && u->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_irq(struct uart16550 *u)
{
	const struct uart16550 *partner = u->m->serial[u->index ^ 2];
	bool level = pending(u) != IIR_NONE;

	if (level == u->irq_level)
		return;
	u->irq_level = level;
	if (!partner || !partner->irq_level)
		line_set(&u->irq, level);
}

/* ---- receiver ---- */

/* Start, data, parity and stop bits, 16 clocks each. */
static int64_t char_time_ns(const struct uart16550 *u)
{
	unsigned bits = 1 + 5 + (u->lcr & 3) + !!(u->lcr & LCR_PARITY) + 1 + !!(u->lcr & LCR_STOP);
	unsigned divisor = u->divisor ? u->divisor : 1;

	return bits * 16ll * divisor * NS_PER_SEC / CLOCK_HZ;
}

/*
 * Data sheet, "FIFO Interrupt Mode Operation": four character times without a character coming or
 * being read.
 */
static void restart_timeout(struct uart16550 *u)
{
	u->timed_out = false;
	if (u->fifo && u->rx_count && (u->ier & IER_RX))
		machine_timer_set(u->timeout, machine_now(u->m) + 4 * char_time_ns(u));
	else
		machine_timer_cancel(u->timeout);
}

static void on_timeout(void *opaque)
{
	struct uart16550 *u = opaque;

	u->timed_out = u->fifo && u->rx_count;
	update_irq(u);
}

static unsigned rx_size(const struct uart16550 *u)
{
	return u->fifo ? FIFO_SIZE : 1;
}

static void rx_push(struct uart16550 *u, uint8_t byte, bool brk)
{
	if (u->rx_count == rx_size(u)) {
		u->overrun = true;
		/* The FIFO loses the new character, the single register the old one. */
		if (!u->fifo)
			u->rx[u->rx_head] = (struct rx_char){byte, brk};
		return;
	}
	u->rx[(u->rx_head + u->rx_count++) % FIFO_SIZE] = (struct rx_char){byte, brk};
}

static uint8_t read_rbr(struct uart16550 *u)
{
	if (u->rx_count) {
		u->rx_last = u->rx[u->rx_head].byte;
		u->rx_head = (u->rx_head + 1) % FIFO_SIZE;
		u->rx_count--;
		chardev_accept_input(u->cd);
		restart_timeout(u);
		update_irq(u);
	}
	return u->rx_last;
}

static void rx_clear(struct uart16550 *u)
{
	u->rx_count = 0;
	restart_timeout(u);
}

/* ---- transmitter ---- */

/* Send what the host takes; an empty transmitter is news. */
static void tx_drain(struct uart16550 *u)
{
	while (u->tx_count && chardev_write(u->cd, &u->tx[u->tx_head], 1)) {
		u->tx_head = (u->tx_head + 1) % FIFO_SIZE;
		u->tx_count--;
	}
	if (!u->tx_count)
		u->thre_pending = true;
}

/* Make room past a host that takes nothing. */
static void tx_force(struct uart16550 *u, unsigned n)
{
	for (; n; n--) {
		chardev_write_forced(u->cd, &u->tx[u->tx_head], 1);
		u->tx_head = (u->tx_head + 1) % FIFO_SIZE;
		u->tx_count--;
	}
}

static void write_thr(struct uart16550 *u, uint8_t byte)
{
	/* Writing ends the interrupt; the line must be seen to fall before the next one. */
	u->thre_pending = false;
	update_irq(u);
	if (u->mcr & MCR_LOOP) {
		rx_push(u, byte, false);
		restart_timeout(u);
		u->thre_pending = !u->tx_count;
	} else if (!u->tx_count && chardev_write(u->cd, &byte, 1)) {
		u->thre_pending = true;
	} else {
		if (u->tx_count == (u->fifo ? FIFO_SIZE : 1))
			tx_force(u, 1);
		u->tx[(u->tx_head + u->tx_count++) % FIFO_SIZE] = byte;
	}
	update_irq(u);
}

/* ---- modem lines ---- */

/* The host's side always looks connected and ready; in loopback the outputs come back as inputs. */
static uint8_t modem_lines(const struct uart16550 *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void update_modem(struct uart16550 *u)
{
	uint8_t lines = modem_lines(u), changed = lines ^ u->msr_lines;

	u->msr_delta |= (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
	if (changed & u->msr_lines & MSR_RI) /* trailing edge only */
		u->msr_delta |= MSR_TERI;
	u->msr_lines = lines;
}

static void write_mcr(struct uart16550 *u, uint8_t value)
{
	bool was_loop = u->mcr & MCR_LOOP;

	u->mcr = value & MCR_MASK;
	update_modem(u);
	if (was_loop && !(u->mcr & MCR_LOOP))
		chardev_accept_input(u->cd);
}

/* ---- registers ---- */

static uint8_t read_lsr(struct uart16550 *u)
{
	uint8_t lsr = u->rx_count ? LSR_DR : 0;

	if (u->overrun)
		lsr |= LSR_OE;
	if (!u->tx_count)
		lsr |= LSR_THRE | LSR_TEMT;
	for (unsigned i = 0; u->fifo && i < u->rx_count; i++)
		if (u->rx[(u->rx_head + i) % FIFO_SIZE].brk)
			lsr |= LSR_FIFO_ERROR;
	if (u->rx_count && u->rx[u->rx_head].brk)
		lsr |= LSR_BI;
	if (lsr & (LSR_OE | LSR_BI)) {
		u->overrun = false;
		u->rx[u->rx_head].brk = false;
		update_irq(u);
	}
	return lsr;
}

/*
 * A console writes a byte and reads this, over and over. Nothing received, nothing waiting to be sent: always the same answer, and
 * reading it changes nothing. The host's side may change the counts meanwhile: then this came before.
 */
static bool lsr_lean_read(void *opaque, uint16_t port, uint32_t *value)
{
	const struct uart16550 *u = opaque;

	if ((port & 7) != LSR || __atomic_load_n(&u->rx_count, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&u->tx_count, __ATOMIC_RELAXED) || __atomic_load_n(&u->overrun, __ATOMIC_RELAXED))
		return false;
	*value = LSR_THRE | LSR_TEMT;
	return true;
}

static uint8_t read_iir(struct uart16550 *u)
{
	uint8_t iir = pending(u);

	if (iir == IIR_THRE) {
		u->thre_pending = false;
		update_irq(u);
	}
	return iir | (u->fifo ? IIR_FIFO : 0);
}

static uint8_t read_msr(struct uart16550 *u)
{
	uint8_t msr = u->msr_lines | u->msr_delta;

	u->msr_delta = 0;
	update_irq(u);
	return msr;
}

static void write_ier(struct uart16550 *u, uint8_t value)
{
	uint8_t changed = (u->ier ^ value) & 0x0f;

	u->ier = value & 0x0f;
	/* While the transmitter is empty this interrupts at once: drivers start sending so. */
	if (changed & IER_THRE)
		u->thre_pending = (u->ier & IER_THRE) && !u->tx_count;
	if (changed & IER_RX)
		restart_timeout(u);
}

static void write_fcr(struct uart16550 *u, uint8_t value)
{
	static const uint8_t triggers[] = {1, 4, 8, 14};
	bool toggled = u->fifo != (value & FCR_ENABLE);

	u->fifo = value & FCR_ENABLE;
	if (u->fifo)
		u->trigger = triggers[value >> FCR_TRIGGER_SHIFT];
	/* Other bits count only together with bit 0; changing that one clears both FIFOs. */
	if (toggled || (u->fifo && (value & FCR_RX_RESET))) {
		rx_clear(u);
		chardev_accept_input(u->cd);
	}
	if (toggled || (u->fifo && (value & FCR_TX_RESET))) {
		tx_force(u, u->tx_count);
		u->thre_pending = true;
	}
}

static uint32_t uart_read(void *opaque, uint16_t port, unsigned size)
{
	struct uart16550 *u = opaque;
	bool dlab = u->lcr & LCR_DLAB;

	switch (port & 7) {
	case RBR_THR_DLL:
		return dlab ? u->divisor & 0xff : read_rbr(u);
	case IER_DLM:
		return dlab ? u->divisor >> 8 : u->ier;
	case IIR_FCR:
		return read_iir(u);
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		return read_lsr(u);
	case MSR:
		return read_msr(u);
	default:
		return u->scr;
	}
}

static void uart_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct uart16550 *u = opaque;
	unsigned reg = port & 7;

	if (reg == RBR_THR_DLL && !(u->lcr & LCR_DLAB)) {
		write_thr(u, value);
		return;
	}
	if (reg == RBR_THR_DLL)
		u->divisor = (u->divisor & 0xff00) | (value & 0xff);
	else if (reg == IER_DLM && (u->lcr & LCR_DLAB))
		u->divisor = (u->divisor & 0xff) | (value & 0xff) << 8;
	else if (reg == IER_DLM)
		write_ier(u, value);
	else if (reg == IIR_FCR)
		write_fcr(u, value);
	else if (reg == LCR)
		u->lcr = value;
	else if (reg == MCR)
		write_mcr(u, value);
	else if (reg == SCR)
		u->scr = value;
	/* LSR and MSR are read-only */
	update_irq(u);
}

static const struct io_ops uart_io = {.read = uart_read, .write = uart_write};

/* ---- the host's side ---- */

/* A FIFO's worth may come at once, no more ahead of the pace than that; the timer asks again. */
static unsigned paced(struct uart16550 *u, unsigned room)
{
	int64_t ahead = u->rx_paid_until - machine_now(u->m);
	int64_t allowed =
		ahead <= 0 ? FIFO_SIZE : FIFO_SIZE - (ahead + RX_PACE_NS - 1) / RX_PACE_NS;

	if (allowed <= 0) {
		machine_timer_set(u->pace, u->rx_paid_until - FIFO_SIZE / 2 * RX_PACE_NS);
		return 0;
	}
	return room < allowed ? room : (unsigned)allowed;
}

static unsigned uart_can_receive(void *opaque)
{
	struct uart16550 *u = opaque;

	/* In loopback the receiver is cut off from the line. */
	if ((u->mcr & MCR_LOOP) || u->rx_count >= rx_size(u))
		return 0;
	return paced(u, rx_size(u) - u->rx_count);
}

static void on_pace(void *opaque)
{
	struct uart16550 *u = opaque;

	chardev_accept_input(u->cd);
}

static void uart_receive(void *opaque, const uint8_t *p, unsigned n)
{
	struct uart16550 *u = opaque;
	int64_t now = machine_now(u->m);

	if (u->rx_paid_until < now)
		u->rx_paid_until = now;
	u->rx_paid_until += (int64_t)n * RX_PACE_NS;
	while (n--)
		rx_push(u, *p++, false);
	restart_timeout(u);
	update_irq(u);
}

static void uart_writable(void *opaque)
{
	struct uart16550 *u = opaque;

	if (!u->tx_count)
		return;
	tx_drain(u);
	update_irq(u);
}

/* A break is received as a zero character that carries the BI flag. */
static void uart_event(void *opaque, int event)
{
	struct uart16550 *u = opaque;

	if (event != CHARDEV_BREAK || (u->mcr & MCR_LOOP))
		return;
	rx_push(u, 0, true);
	restart_timeout(u);
	update_irq(u);
}

static const struct chardev_frontend uart_frontend = {
	.can_receive = uart_can_receive,
	.receive = uart_receive,
	.writable = uart_writable,
	.event = uart_event,
};

/* ---- life cycle ---- */

static void uart_reset(void *opaque)
{
	struct uart16550 *u = opaque;

	tx_force(u, u->tx_count);
	u->ier = u->mcr = u->scr = 0;
	u->lcr = 3; /* 8 bits, no parity, as a BIOS leaves it */
	u->divisor = RESET_DIVISOR;
	u->fifo = false;
	u->trigger = 1;
	u->rx_last = 0;
	u->overrun = u->thre_pending = false;
	rx_clear(u);
	u->msr_lines = modem_lines(u);
	u->msr_delta = 0;
	update_irq(u);
	chardev_accept_input(u->cd);
}

bool uart16550_new(struct machine *m, unsigned index, struct chardev *cd)
{
	static const struct {
		uint16_t base;
		uint8_t irq;
	} ports[] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};
	struct uart16550 *u = machine_alloc(m, sizeof(*u));

	if (!u)
		return false;
	*u = (struct uart16550){
		.m = m, .cd = cd, .index = index, .irq = machine_irq(m, ports[index].irq)};
	u->timeout = machine_timer_new(m, on_timeout, u);
	u->pace = machine_timer_new(m, on_pace, u);
	if (!u->timeout || !u->pace || !machine_on_reset(m, uart_reset, u))
		return false;
	m->serial[index] = u;
	machine_add_io(m, ports[index].base, UART_PORTS, &uart_io, u);
	machine_add_lean_read(m, ports[index].base, lsr_lean_read);
	chardev_attach(cd, &uart_frontend, u);
	return true;
}
