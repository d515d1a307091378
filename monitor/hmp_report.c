/* Human monitor: `tc report`. The guest waits while what is to be shown is copied, not while the page is written. */
#include "monitor/hmp_internal.h"
#include "monitor/tc_report.h"

#include <stdlib.h>
#include <string.h>

const char hmp_report_name[] = "report", hmp_report_params[] = "FILE";
const char hmp_report_help[] = "write a page about the translation cache, to be opened in a browser";

struct pending {
	struct tc_report_job *job;
	char path[HMP_WORD_MAX];
};

/* `out` may be null. */
static void finish(void *ctx, FILE *out)
{
	struct pending *p = ctx;
	char err[HMP_WORD_MAX + 256];
	bool ok = tc_report_write(p->job, p->path, err, sizeof(err));
	if (out && ok)
		tc_report_describe(p->job, out);
	else if (out)
		fprintf(out, "Error: %s\n", err);
	tc_report_free_job(p->job);
	free(p);
}

void hmp_tc_report(struct hmp *h)
{
	struct pending *p = calloc(1, sizeof(*p));
	char err[HMP_WORD_MAX + 256];
	if (!p || !hmp_take_word(h, p->path, sizeof(p->path)) || !hmp_take_end(h)) {
		free(p);
		return;
	}
	if (!tc_report_possible(p->path, err, sizeof(err))) {
		fprintf(h->out, "Error: %s\n", err);
		free(p);
		return;
	}
	p->job = tc_report_begin(h->vm);
	if (!p->job) {
		fputs("Error: out of memory for the report\n", h->out);
		free(p);
		return;
	}
	*h->rest = (struct hmp_rest){finish, p};
}
