/* Looks at the clock every millisecond, and writes each gap above 20 ms as a line: when it ended, and its milliseconds. */
#include <stdio.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	/* The clock that two hosts have in common. */
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(void)
{
	const struct timespec pause = { 0, 1000000 };
	double before = now();
	unsigned long rounds = 0;
	for (;;) {
		double at;
		nanosleep(&pause, NULL);
		at = now();
		if (at - before > 20 || ++rounds % 1000 == 0) {
			printf("%.0f %.1f %lu\n", at, at - before, rounds);
			fflush(stdout);
		}
		before = at;
	}
}
