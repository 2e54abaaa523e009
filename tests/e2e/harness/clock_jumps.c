/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a program, the wall clock jumps every 100 ms: as it is, an hour ahead, an hour back. The monotonic
 * clock, on which everything that waits should stand, is left alone.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t offset(void) {
  struct timespec mono;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &mono);
  static const time_t offsets[] = {0, 3600, -3600};
  return offsets[(mono.tv_sec * 10 + mono.tv_nsec / 100000000) % 3];
}

int clock_gettime(clockid_t id, struct timespec* ts) {
  const int result = (int)syscall(SYS_clock_gettime, id, ts);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) ts->tv_sec += offset();
  return result;
}

int gettimeofday(struct timeval* tv, void* zone) {
  (void)zone;
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  tv->tv_sec = ts.tv_sec;
  tv->tv_usec = ts.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* ret) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (ret) *ret = ts.tv_sec;
  return ts.tv_sec;
}
