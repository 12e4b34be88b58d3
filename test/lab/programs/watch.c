/* Writes a dot for each file that is made in its working directory. */
#include <sys/inotify.h>
#include <unistd.h>

int main(void)
{
	char events[4096];
	int watch = inotify_init();

	if (watch < 0 || inotify_add_watch(watch, ".", IN_CREATE) < 0)
		return 1;
	while (read(watch, events, sizeof(events)) > 0)
		if (write(1, ".", 1) != 1)
			return 1;
	return 1;
}
