/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>

#include "exporter/handoff/producer.h"

spantap_status spantap_stats_get(const spantap_producer* producer, spantap_stats* stats) {
  if (producer == NULL || stats == NULL || stats->struct_size < sizeof(stats->struct_size)) return SPANTAP_INVALID;
  if (producer->thread != handoff_thread()) return SPANTAP_WRONG_THREAD;
  spantap_stats now;
  memset(&now, 0, sizeof(now));
  now.struct_size = stats->struct_size;
  if (producer->generation == handoff_fork_look()) { /* else all is the parent's */
    now.attached = producer->state == HANDOFF_ATTACHED;
    now.handed_off = producer->handed_off;
    now.dropped_no_agent = producer->dropped.no_agent;
    now.dropped_full = producer->dropped.full;
    now.dropped_too_large = producer->dropped.too_large;
    now.dropped_invalid = producer->dropped.invalid;
    now.dropped_off = producer->dropped_off;
    now.wrong_thread = __atomic_load_n(&producer->wrong_thread, __ATOMIC_RELAXED);
    now.attach_attempts = producer->attach_attempts;
    now.attached_times = producer->attached_times;
    now.refused_agent = producer->refused_agent;
  }
  memcpy(stats, &now, stats->struct_size < sizeof(now) ? stats->struct_size : sizeof(now));
  return SPANTAP_OK;
}

static uint64_t monotonic_ns(void) {
  struct timespec now = {0, 0};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int all_taken(spantap_producer* producer) {
  return producer->state == HANDOFF_ATTACHED && handoff_ring_look(&producer->ring) == producer->ring.head;
}

/* An agent's spans are safe once it has them; those of this process are not. */
static int all_sent(const spantap_producer* producer, uint64_t left_ns) {
  const struct spantap_embedded* embedded = producer->client->embedded;
  return embedded == NULL || embedded->flush((uint32_t)(left_ns / 1000000u));
}

spantap_status spantap_flush(spantap_producer* producer, uint32_t timeout_ms) {
  spantap_status status = handoff_enter(producer);
  if (status != SPANTAP_OK) return status;
  if (handoff_client_closed(producer->client)) return SPANTAP_CLOSED;
  if (handoff_awaits_first(producer)) return SPANTAP_OK;
  int saved = errno;
  const struct timespec pause = {0, 1000000};
  uint64_t end_ns = monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
  for (;;) {
    handoff_advance(producer); /* also finds out that the agent has died */
    uint64_t now_ns = monotonic_ns();
    if (all_taken(producer)) {
      if (!all_sent(producer, now_ns < end_ns ? end_ns - now_ns : 0)) status = SPANTAP_TIMEOUT;
      break;
    }
    if (now_ns >= end_ns) {
      status = producer->state == HANDOFF_ATTACHED ? SPANTAP_TIMEOUT : SPANTAP_NO_AGENT;
      break;
    }
    nanosleep(&pause, NULL);
  }
  errno = saved;
  return status;
}
