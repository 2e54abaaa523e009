/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "exporter/handoff/producer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

spantap_status spantap_producer_open(spantap_client* client, spantap_producer** producer) {
  if (client == NULL || producer == NULL) return SPANTAP_INVALID;
  if (handoff_client_closed(client)) return SPANTAP_CLOSED;
  int saved = errno;
  spantap_status status = handoff_fork_prepare();
  spantap_producer* made = status == SPANTAP_OK ? (spantap_producer*)calloc(1, sizeof(*made)) : NULL;
  if (status == SPANTAP_OK && made == NULL) status = SPANTAP_NO_MEMORY;
  if (status == SPANTAP_OK) {
    __atomic_add_fetch(&client->users, 1, __ATOMIC_RELAXED);
    made->client = client;
    made->thread = handoff_thread();
    made->generation = handoff_fork_generation();
    made->connection = made->memory = -1;
    handoff_seed(made);
    handoff_advance(made);
    *producer = made;
  }
  errno = saved;
  return status;
}

void spantap_producer_close(spantap_producer* producer) {
  if (producer == NULL) return;
  int saved = errno;
  if (producer->generation != handoff_fork_look()) handoff_after_fork(producer);
  handoff_detach(producer);
  handoff_unmap(&producer->old);
  handoff_client_release(producer->client);
  free(producer);
  errno = saved;
}

void handoff_after_fork(spantap_producer* producer) {
  int saved = errno;
  struct handoff_counts none = {0, 0, 0, 0};
  producer->generation = handoff_fork_generation();
  /* Attached rings are not mapped here (MADV_DONTFORK), and their addresses may have become something else. */
  if (producer->state != HANDOFF_MAPPED) memset(&producer->ring, 0, sizeof(producer->ring));
  memset(&producer->old, 0, sizeof(producer->old));
  handoff_detach(producer);
  handoff_unmap(&producer->old);
  producer->dropped = producer->told_before = none;
  producer->handed_off = producer->dropped_off = producer->attach_attempts = 0;
  producer->attached_times = producer->refused_agent = producer->due_ns = 0;
  producer->failures = 0;
  __atomic_store_n(&producer->wrong_thread, 0, __ATOMIC_RELAXED);
  handoff_seed(producer);
  errno = saved;
}

spantap_status spantap_attach(spantap_producer* producer) {
  spantap_status status = handoff_enter(producer);
  if (status != SPANTAP_OK) return status;
  if (handoff_client_closed(producer->client)) return SPANTAP_CLOSED;
  return handoff_advance(producer);
}

int spantap_enabled(const spantap_producer* producer) {
  return producer != NULL && producer->thread == handoff_thread() && producer->generation == handoff_fork_look() &&
         producer->state == HANDOFF_ATTACHED && !handoff_client_closed(producer->client) &&
         __atomic_load_n(&producer->ring.shared->state, __ATOMIC_RELAXED) == SPANTAP_RING_OPEN;
}

spantap_status handoff_wrong_thread(spantap_producer* producer) {
  __atomic_add_fetch(&producer->wrong_thread, 1, __ATOMIC_RELAXED);
  return SPANTAP_WRONG_THREAD;
}

static void tell(uint64_t* shared, uint64_t count, uint64_t told_before) {
  __atomic_store_n(shared, count - told_before, __ATOMIC_RELAXED);
}

void handoff_tell(spantap_producer* producer) {
  const struct handoff_counts *dropped = &producer->dropped, *before = &producer->told_before;
  struct spantap_ring* shared = producer->ring.shared;
  if (shared == NULL) return;
  tell(&shared->dropped_full, dropped->full, before->full);
  tell(&shared->dropped_too_large, dropped->too_large, before->too_large);
  tell(&shared->dropped_no_agent, dropped->no_agent, before->no_agent);
  tell(&shared->dropped_invalid, dropped->invalid, before->invalid);
}

/* What the ring's reader has in its books; it cannot have more than it was told. */
static void taken(uint64_t* told_before, const uint64_t* shared, uint64_t count) {
  uint64_t taken_count = __atomic_load_n(shared, __ATOMIC_RELAXED);
  *told_before = taken_count < count - *told_before ? *told_before + taken_count : count;
}

void handoff_told(spantap_producer* producer) {
  struct handoff_counts *dropped = &producer->dropped, *before = &producer->told_before;
  const struct spantap_ring* shared = producer->ring.shared;
  taken(&before->full, &shared->taken_full, dropped->full);
  taken(&before->too_large, &shared->taken_too_large, dropped->too_large);
  taken(&before->no_agent, &shared->taken_no_agent, dropped->no_agent);
  taken(&before->invalid, &shared->taken_invalid, dropped->invalid);
}

spantap_status handoff_drop(spantap_producer* producer, spantap_status reason) {
  struct handoff_counts* dropped = &producer->dropped;
  switch (reason) {
    case SPANTAP_FULL:
      ++dropped->full;
      break;
    case SPANTAP_TOO_LARGE:
      ++dropped->too_large;
      break;
    case SPANTAP_NO_AGENT:
      ++dropped->no_agent;
      break;
    default:
      ++dropped->invalid;
      break;
  }
  handoff_tell(producer);
  return reason;
}

spantap_status handoff_ready_slowly(spantap_producer* producer) {
  if (handoff_client_closed(producer->client) || producer->client->mode == SPANTAP_MODE_OFF) {
    ++producer->dropped_off;
    return handoff_client_closed(producer->client) ? SPANTAP_CLOSED : SPANTAP_NO_AGENT;
  }
  if (handoff_advance(producer) == SPANTAP_OK && spantap_enabled(producer)) return SPANTAP_OK;
  return handoff_drop(producer, SPANTAP_NO_AGENT);
}
