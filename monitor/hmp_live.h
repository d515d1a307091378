/* `tc trace live` in a session: events to the peer while they happen. */
#ifndef RINGFENCE_MONITOR_HMP_LIVE_H
#define RINGFENCE_MONITOR_HMP_LIVE_H

#include "monitor/channel.h"
#include "translator/translator.h"

enum { HMP_LIVE_LINE = 256 };

/*
 * Print until Enter, Ctrl-C, `tc trace stop`, the limit, or another peer; closes the trace. A line that was typed is
 * left in `line` to be carried out (empty: none). Returns 0, or CHANNEL_RESET or CHANNEL_QUIT. The session's thread.
 */
int hmp_live(struct channel *, struct tc_trace *, char line[HMP_LIVE_LINE]);

#endif
