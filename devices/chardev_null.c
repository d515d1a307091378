/* The character device that swallows output and never says anything. */
#include "devices/chardev.h"

#include <stdlib.h>

static void null_start(struct chardev *cd) {}

static unsigned null_write(struct chardev *cd, const uint8_t *p, unsigned n, bool force)
{
	return n;
}

static void null_flush(struct chardev *cd, int timeout_ms) {}

static void null_destroy(struct chardev *cd)
{
	free(cd);
}

static const struct chardev_ops null_ops = {
	.start = null_start,
	.write = null_write,
	.accept_input = null_start,
	.flush = null_flush,
	.destroy = null_destroy,
};

struct chardev *chardev_null_open(const struct chardev_spec *spec, char *err, size_t errlen)
{
	struct chardev *cd = calloc(1, sizeof(*cd));

	if (!cd)
		return chardev_fail(spec, err, errlen, "out of memory");
	cd->ops = &null_ops;
	return cd;
}
