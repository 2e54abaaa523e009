/* SPDX-License-Identifier: Apache-2.0
 *
 * A tracer (one for each configuration that Envoy loads) and what each thread that uses it has of its own: a producer
 * and memory for spans. Used by tracer.c and span.c.
 * Threads: a worker is its thread's alone; a tracer's list of workers is guarded by its lock, which is taken when a
 * thread uses the tracer for the first time, or has used kCached others since. Envoy destroys a configuration after
 * the last span of it, so that worker_close_all() meets no thread at work.
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
  struct tracer* tracer;
  uintptr_t thread;
  spantap_producer* producer;
  int off; /* no spans at all: mode off, or no memory for a producer */
  struct span* kept;
  uint32_t kept_count;
};

struct tracer {
  uint64_t id; /* never given twice */
  struct config config;
  spantap_client* client;
  pthread_mutex_t lock;
  struct worker* workers;
};

/* SPANTAP_OK, or why there is no client; *tracer is then NULL. */
spantap_status tracer_new(const struct config* config, struct tracer** tracer);
void tracer_free(struct tracer* tracer);

/* The calling thread's; NULL: no memory. */
struct worker* worker_here(struct tracer* tracer);

static inline uintptr_t thread_here(void) {
#if defined(__x86_64__) || defined(__aarch64__)
  return (uintptr_t)__builtin_thread_pointer();
#else
  return (uintptr_t)pthread_self();
#endif
}

#endif /* SPANTAP_PACKAGING_ENVOY_WORKER_H_ */
