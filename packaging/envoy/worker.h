/* SPDX-License-Identifier: Apache-2.0
 *
 * An outlet is a way to an agent: socket, service and mode. Tracers (one for each configuration that Envoy loads) with
 * the same outlet share it, so that a listener that is updated goes on with its rings and loses nothing. Each thread
 * that uses an outlet has a worker: a producer, and memory for spans. Used by tracer.c and span.c.
 * Threads: a worker is its thread's alone; an outlet's list of workers is guarded by its lock, which is taken when a
 * thread uses the outlet for the first time, or has used kCached others since. Envoy destroys a configuration after
 * the last span of it, so that the end of an outlet meets no thread at work.
 * Memory: kept spans, WORKER_KEPT_SPANS at most a worker; a producer's ring is the agent's.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_WORKER_H_
#define SPANTAP_PACKAGING_ENVOY_WORKER_H_

#include <pthread.h>

#include "packaging/envoy/config.h"
#include "spantap/spantap.h"

enum { WORKER_KEPT_SPANS = 256 };

struct span;

struct worker {
  struct worker* next;
  struct outlet* outlet;
  uintptr_t thread;
  spantap_producer* producer;
  int off;               /* no spans at all: mode off, or no producer */
  spantap_status failed; /* why there is no producer; SPANTAP_OK: there is one, or it has been said */
  struct span* kept;
  uint32_t kept_count;
};

struct outlet {
  struct outlet* next;
  uint32_t users; /* tracers */
  uint64_t id;    /* never given twice */
  struct config config;
  spantap_client* client;
  pthread_mutex_t lock;
  struct worker* workers;
};

/* One that is there, or a new one. SPANTAP_OK, or why there is no client; *outlet is then NULL. */
spantap_status outlet_get(const struct config* config, struct outlet** outlet);
/* The last one frees it. */
void outlet_release(struct outlet* outlet);

/* The calling thread's; NULL: no memory. */
struct worker* worker_here(struct outlet* outlet);

static inline uintptr_t thread_here(void) {
#if defined(__x86_64__) || defined(__aarch64__)
  return (uintptr_t)__builtin_thread_pointer();
#else
  return (uintptr_t)pthread_self();
#endif
}

#endif /* SPANTAP_PACKAGING_ENVOY_WORKER_H_ */
