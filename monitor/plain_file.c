/* Files that the monitor writes; see plain_file.h. */
#include "monitor/plain_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_plain(mode_t mode)
{
	return S_ISREG(mode) || S_ISCHR(mode);
}

/* What opening alone would wait for, or refuse for an obscure reason, is told by its name. */
static const char *obstacle(const char *path)
{
	struct stat st;

	if (stat(path, &st) || is_plain(st.st_mode))
		return NULL;
	return S_ISDIR(st.st_mode) ? strerror(EISDIR) : "neither a regular file nor a character device";
}

int plain_file_create(const char *path, const char **why)
{
	struct stat st;
	int fd;

	*why = obstacle(path);
	if (*why)
		return -1;
	/* it may have become something else meanwhile */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
	if (fd >= 0 && !fstat(fd, &st) && is_plain(st.st_mode) && !fcntl(fd, F_SETFL, 0))
		return fd;
	*why = strerror(errno);
	if (fd >= 0) {
		close(fd);
		*why = "neither a regular file nor a character device";
	}
	return -1;
}
