/* The file named by -pidfile. The lock on it, not its existence, says that a process is alive. */
#include "monitor/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static char file[PATH_MAX];
static volatile bool present;

bool pidfile_create(const char *path, char *err, size_t errlen)
{
	if (strlen(path) >= sizeof(file)) {
		snprintf(err, errlen, "-pidfile: the file name is too long");
		return false;
	}
	/* Stays open, and so locked, until we end. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		snprintf(err, errlen, "-pidfile: cannot write '%s': %s", path, strerror(errno));
		return false;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		snprintf(err, errlen,
			 "-pidfile: '%s' belongs to a running process: choose another name", path);
		close(fd);
		return false;
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		snprintf(err, errlen, "-pidfile: cannot write '%s': %s", path, strerror(errno));
		close(fd);
		return false;
	}
	strcpy(file, path);
	present = true;
	return true;
}

void pidfile_remove(void)
{
	if (present)
		unlink(file);
	present = false;
}
