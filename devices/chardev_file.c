/* Output to a file, through the page cache; a FIFO or a device file may block and is waited for. */
#include "devices/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file {
	struct stream s;
	char path[256];
};

/* A write failed: say so once, and go on without. */
static void file_hangup(struct chardev *cd, bool output, int error)
{
	struct file *f = (struct file *)cd;

	fprintf(stderr, "ringfence: cannot write to %s: %s; further output to it is dropped\n",
		f->path, strerror(error));
	stream_disconnect(&f->s);
}

static const struct chardev_ops file_ops = {
	.start = stream_start,
	.write = stream_write,
	.accept_input = stream_accept_input,
	.flush = stream_flush,
	.hangup = file_hangup,
	.destroy = stream_destroy,
};

struct chardev *chardev_file_open(const struct chardev_spec *spec, char *err, size_t errlen)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | (spec->append ? O_APPEND : O_TRUNC);
	struct file *f = calloc(1, sizeof(*f));
	int fd = -1;

	if (!f || !stream_init(&f->s, &file_ops)) {
		free(f);
		return chardev_fail(spec, err, errlen, "out of memory or file descriptors");
	}
	/* O_NONBLOCK only afterwards: opening a FIFO waits for its reader. */
	fd = open(spec->address, flags, 0666);
	if (fd < 0 || !fd_set_nonblocking(fd)) {
		chardev_fail(spec, err, errlen,
			     "cannot open %s for writing: %s; choose another path", spec->address,
			     strerror(errno));
		if (fd >= 0)
			close(fd);
		stream_destroy(&f->s.cd);
		return NULL;
	}
	memcpy(f->path, spec->address, sizeof(f->path));
	stream_connect(&f->s, -1, fd);
	return &f->s.cd;
}
