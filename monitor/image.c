/* Reading whole files, with errors a user can act on; see boot.h. */
#include "monitor/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read exactly `size` bytes; false (errno 0: the file has become shorter) otherwise. */
static bool read_all(int fd, uint8_t *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, data + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : 0;
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

static bool read_open_file(struct image *image, int fd, const char *what, uint64_t max, char *err,
			   size_t errlen)
{
	struct stat st;
	const char *path = image->path;
	if (fstat(fd, &st)) {
		snprintf(err, errlen, "%s '%s': %s", what, path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		snprintf(err, errlen, "%s '%s' is %s: name a regular file", what, path,
			 S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	} else if (st.st_size == 0) {
		snprintf(err, errlen, "%s '%s' is empty", what, path);
	} else if ((uint64_t)st.st_size > max) {
		snprintf(err, errlen,
			 "%s '%s' has %lld KiB, but the guest has only %llu KiB of RAM: raise -m",
			 what, path, (long long)st.st_size >> 10, (unsigned long long)max >> 10);
	} else if (!(image->owned = malloc((size_t)st.st_size))) {
		snprintf(err, errlen, "%s '%s': not enough memory to read it", what, path);
	} else if (!read_all(fd, image->owned, (size_t)st.st_size)) {
		snprintf(err, errlen, "%s '%s': cannot be read: %s", what, path,
			 errno ? strerror(errno) : "it became shorter while being read");
	} else {
		image->data = image->owned;
		image->size = (size_t)st.st_size;
		return true;
	}
	return false;
}

bool image_read(struct image *image, const char *path, const char *what, uint64_t max, char *err,
		size_t errlen)
{
	*image = (struct image){.path = path};
	/* O_NONBLOCK: a FIFO without a writer must not hang us before we can refuse it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		snprintf(err, errlen, "%s '%s' cannot be opened: %s", what, path, strerror(errno));
		return false;
	}
	bool ok = read_open_file(image, fd, what, max, err, errlen);
	close(fd);
	if (!ok)
		image_free(image);
	return ok;
}

void image_embed(struct image *image, const char *name, const uint8_t *data, size_t size)
{
	*image = (struct image){.path = name, .data = data, .size = size};
}

void image_free(struct image *image)
{
	free(image->owned);
	*image = (struct image){.path = image->path};
}
