/* What -d in_asm, op, out_asm, exec and cpu write. Callers test log_on first. */
#ifndef RINGFENCE_TRANSLATOR_TRANSLOG_H
#define RINGFENCE_TRANSLATOR_TRANSLOG_H

#include "cpu/log.h"
#include "translator/tu.h"

/* A unit has been translated and published. */
void translog_unit(const struct tu *);
/* A block, or one instruction that is interpreted because of the mode, is about to run. */
void translog_block(struct tc *, ccf_id);
void translog_step(struct tc *);

#endif
