package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// skewSource is a library that moves a C program's clock. It is of no use for a
// Go program, which asks the kernel itself: so Redis' clock is what we move.
const skewSource = `
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>

int clock_gettime(clockid_t id, struct timespec *ts) {
	int r = syscall(SYS_clock_gettime, id, ts);
	if (r == 0 && id == CLOCK_REALTIME) ts->tv_sec += SKEW;
	return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
	struct timespec ts;
	(void)tz;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t) {
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (t != NULL) *t = ts.tv_sec;
	return ts.tv_sec;
}
`

// skewedClock is the environment of a program whose clock is off by seconds.
func skewedClock(t testing.TB, seconds int) []string {
	t.Helper()
	dir := t.TempDir()
	source, library := filepath.Join(dir, "skew.c"), filepath.Join(dir, "skew.so")
	if err := os.WriteFile(source, []byte(skewSource), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gcc", "-shared", "-fPIC", fmt.Sprintf("-DSKEW=(%d)", seconds), "-o", library, source).CombinedOutput()
	if err != nil {
		t.Fatalf("This test needs gcc and libc6-dev: %v\n%s", err, out)
	}
	return []string{"LD_PRELOAD=" + library}
}
