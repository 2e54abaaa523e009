/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/worker.h"

#include <stdlib.h>
#include <string.h>

#include "packaging/envoy/span.h"

/* What this thread used last, by id: a pointer alone could be that of an outlet that is gone. */
enum { kCached = 16 };
static __thread struct {
  uint64_t id;
  struct worker* worker;
} cache[kCached];

/* Of all outlets, and their users. */
static pthread_mutex_t outlets_lock = PTHREAD_MUTEX_INITIALIZER;
static struct outlet* outlets;

static int same_text(const struct config_text* a, const struct config_text* b) {
  return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static int same_outlet(const struct config* a, const struct config* b) {
  return same_text(&a->socket, &b->socket) && same_text(&a->service_name, &b->service_name) && a->mode == b->mode;
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

static void outlet_free(struct outlet* outlet) {
  while (outlet->workers != NULL) {
    struct worker* worker = outlet->workers;
    outlet->workers = worker->next;
    worker_free(worker);
  }
  spantap_close(outlet->client);
  pthread_mutex_destroy(&outlet->lock);
  free(outlet);
}

static spantap_status outlet_new(const struct config* config, struct outlet** outlet) {
  static uint64_t last_id;
  struct outlet* made = (struct outlet*)calloc(1, sizeof(*made));
  if (made == NULL) return SPANTAP_NO_MEMORY;
  made->id = ++last_id;
  made->users = 1;
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
    *outlet = made;
  } else {
    outlet_free(made);
  }
  return status;
}

spantap_status outlet_get(const struct config* config, struct outlet** outlet) {
  spantap_status status = SPANTAP_OK;
  pthread_mutex_lock(&outlets_lock);
  struct outlet* found = outlets;
  while (found != NULL && !same_outlet(&found->config, config)) found = found->next;
  if (found != NULL) {
    ++found->users;
  } else {
    status = outlet_new(config, &found);
    if (found != NULL) {
      found->next = outlets;
      outlets = found;
    }
  }
  pthread_mutex_unlock(&outlets_lock);
  *outlet = found;
  return status;
}

void outlet_release(struct outlet* outlet) {
  pthread_mutex_lock(&outlets_lock);
  int last = --outlet->users == 0;
  struct outlet** link = &outlets;
  while (last && *link != outlet) link = &(*link)->next;
  if (last) *link = outlet->next;
  pthread_mutex_unlock(&outlets_lock);
  if (last) outlet_free(outlet);
}

/* A root is always sampled (the ratio is Envoy's to choose) unless the library has been told to be off. */
static int is_off(spantap_producer* producer) {
  spantap_context root;
  return producer == NULL || spantap_sample(producer, NULL, &root) != 1;
}

static struct worker* worker_open(struct outlet* outlet) {
  struct worker* worker = (struct worker*)calloc(1, sizeof(*worker));
  if (worker == NULL) return NULL;
  worker->outlet = outlet;
  worker->thread = thread_here();
  worker->failed = spantap_producer_open(outlet->client, &worker->producer);
  worker->off = is_off(worker->producer);
  return worker;
}

/* A thread that is gone may have left a worker to one with the same address: it is as good as new. */
static struct worker* find_or_open(struct outlet* outlet) {
  uintptr_t thread = thread_here();
  pthread_mutex_lock(&outlet->lock);
  struct worker* worker = outlet->workers;
  while (worker != NULL && worker->thread != thread) worker = worker->next;
  if (worker == NULL) {
    worker = worker_open(outlet);
    if (worker != NULL) {
      worker->next = outlet->workers;
      outlet->workers = worker;
    }
  }
  pthread_mutex_unlock(&outlet->lock);
  return worker;
}

struct worker* worker_here(struct outlet* outlet) {
  size_t slot = outlet->id % kCached;
  if (__builtin_expect(cache[slot].id == outlet->id, 1)) return cache[slot].worker;
  struct worker* worker = find_or_open(outlet);
  if (worker != NULL) {
    cache[slot].id = outlet->id;
    cache[slot].worker = worker;
  }
  return worker;
}
