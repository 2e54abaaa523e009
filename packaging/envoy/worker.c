/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/worker.h"

#include <stdlib.h>
#include <string.h>

#include "packaging/envoy/span.h"

/* What this thread used last, by id: a pointer alone could be that of a tracer that is gone. */
enum { kCached = 16 };
static __thread struct {
  uint64_t id;
  struct worker* worker;
} cache[kCached];

spantap_status tracer_new(const struct config* config, struct tracer** tracer) {
  static uint64_t last_id;
  *tracer = NULL;
  struct tracer* made = (struct tracer*)calloc(1, sizeof(*made));
  if (made == NULL) return SPANTAP_NO_MEMORY;
  made->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
  made->config = *config;
  pthread_mutex_init(&made->lock, NULL);
  spantap_options options = SPANTAP_OPTIONS_INIT;
  options.mode = config->mode;
  options.socket.data = config->socket.data;
  options.socket.size = config->socket.size;
  options.service_name.data = config->service_name.data;
  options.service_name.size = config->service_name.size;
  spantap_status status = spantap_open(&options, &made->client);
  if (status == SPANTAP_OK) {
    *tracer = made;
  } else {
    tracer_free(made);
  }
  return status;
}

static void worker_free(struct worker* worker) {
  while (worker->kept != NULL) {
    struct span* span = worker->kept;
    worker->kept = span->next_kept;
    free(span);
  }
  spantap_producer_close(worker->producer);
  free(worker);
}

void tracer_free(struct tracer* tracer) {
  while (tracer->workers != NULL) {
    struct worker* worker = tracer->workers;
    tracer->workers = worker->next;
    worker_free(worker);
  }
  spantap_close(tracer->client);
  pthread_mutex_destroy(&tracer->lock);
  free(tracer);
}

/* A root is always sampled (the ratio is Envoy's to choose) unless the library has been told to be off. */
static int is_off(spantap_producer* producer) {
  spantap_context root;
  return producer == NULL || spantap_sample(producer, NULL, &root) != 1;
}

static struct worker* worker_open(struct tracer* tracer) {
  struct worker* worker = (struct worker*)calloc(1, sizeof(*worker));
  if (worker == NULL) return NULL;
  worker->tracer = tracer;
  worker->thread = thread_here();
  if (spantap_producer_open(tracer->client, &worker->producer) != SPANTAP_OK) worker->producer = NULL;
  worker->off = is_off(worker->producer);
  return worker;
}

/* A thread that is gone may have left a worker to one with the same address: it is as good as new. */
static struct worker* find_or_open(struct tracer* tracer) {
  uintptr_t thread = thread_here();
  pthread_mutex_lock(&tracer->lock);
  struct worker* worker = tracer->workers;
  while (worker != NULL && worker->thread != thread) worker = worker->next;
  if (worker == NULL) {
    worker = worker_open(tracer);
    if (worker != NULL) {
      worker->next = tracer->workers;
      tracer->workers = worker;
    }
  }
  pthread_mutex_unlock(&tracer->lock);
  return worker;
}

struct worker* worker_here(struct tracer* tracer) {
  size_t slot = tracer->id % kCached;
  if (__builtin_expect(cache[slot].id == tracer->id, 1)) return cache[slot].worker;
  struct worker* worker = find_or_open(tracer);
  if (worker != NULL) {
    cache[slot].id = tracer->id;
    cache[slot].worker = worker;
  }
  return worker;
}
