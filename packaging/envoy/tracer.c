/* SPDX-License-Identifier: Apache-2.0
 *
 * libspantap_envoy.so: the hooks that Envoy's dynamic_modules tracer calls. Spans go to the node's agent by
 * libspantap.so. README.md says what becomes of them.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "packaging/envoy/config.h"
#include "packaging/envoy/envoy_abi.h"
#include "packaging/envoy/propagation.h"
#include "packaging/envoy/report.h"
#include "packaging/envoy/span.h"
#include "packaging/envoy/worker.h"

static uint64_t now_unix_ns(void) {
  struct timespec now = {0, 0};
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Envoy holds a span as a pointer to const, and gives it back to whom it belongs. */
static struct span* own(const void* span) { return (struct span*)(uintptr_t)span; }

static int begins(envoy_text text, const char* with, size_t size) {
  return text.data != NULL && text.size >= size && memcmp(text.data, with, size) == 0;
}

const char* envoy_dynamic_module_on_program_init(void) { return propagation_possible() ? ENVOY_ABI_VERSION : NULL; }

static void log_text(int level, const char* text) {
  envoy_text message = {text, strlen(text)};
  if (envoy_dynamic_module_callback_log != NULL) envoy_dynamic_module_callback_log(level, message);
}

static void log_failed(struct worker* worker) {
  char text[CONFIG_ERROR_BYTES];
  snprintf(text, sizeof(text), "spantap: no spans from this worker: %s", spantap_status_text(worker->failed));
  log_text(ENVOY_LOG_ERROR, text);
  worker->failed = SPANTAP_OK;
}

static void log_opened(const struct config* config) {
  char text[CONFIG_ERROR_BYTES];
  static const char kDefault[] = "SPANTAP_SOCKET, else /run/spantap/agent.sock";
  snprintf(text, sizeof(text), "spantap: libspantap %s, %s style, socket %.*s", spantap_version(),
           config->style == STYLE_OTEL ? "otel" : "envoy", config->socket.size != 0 ? (int)config->socket.size : 200,
           config->socket.size != 0 ? config->socket.data : kDefault);
  log_text(ENVOY_LOG_INFO, text);
}

const void* envoy_dynamic_module_on_tracer_config_new(void* envoy, envoy_text name, envoy_text text) {
  char error[CONFIG_ERROR_BYTES];
  struct config config;
  (void)name;
  if (!config_parse(text, &config, error)) {
    log_text(ENVOY_LOG_ERROR, error);
    return NULL;
  }
  struct tracer* tracer = (struct tracer*)calloc(1, sizeof(*tracer));
  spantap_status status = tracer != NULL ? outlet_get(&config, &tracer->outlet) : SPANTAP_NO_MEMORY;
  if (status != SPANTAP_OK) {
    free(tracer);
    snprintf(error, sizeof(error), "spantap: tracer_config: %s%s", spantap_status_text(status),
             status == SPANTAP_INVALID ? "; accepted: a socket's path of at most 107 bytes" : "");
    log_text(ENVOY_LOG_ERROR, error);
    return NULL;
  }
  tracer->style = config.style;
  statistics_define(&tracer->statistics, envoy);
  log_opened(&config);
  return tracer;
}

void envoy_dynamic_module_on_tracer_config_destroy(const void* config) {
  struct tracer* tracer = (struct tracer*)(uintptr_t)config;
  if (tracer == NULL) return;
  outlet_release(tracer->outlet);
  free(tracer);
}

const void* envoy_dynamic_module_on_tracer_start_span(const void* config, void* envoy, envoy_text operation,
                                                      bool traced, unsigned reason) {
  static const char kEgress[] = "egress ";
  struct tracer* tracer = (struct tracer*)(uintptr_t)config;
  struct worker* worker = worker_here(tracer->outlet);
  (void)reason; /* `traced` is what follows from it */
  if (worker == NULL) return NULL;
  if (worker->failed != SPANTAP_OK) log_failed(worker);
  struct span* span = worker->off ? NULL : span_new(worker);
  if (span == NULL) return NULL;
  span->tracer = tracer;
  span->start_unix_ns = now_unix_ns();
  span->kind = begins(operation, kEgress, sizeof(kEgress) - 1) ? SPANTAP_CLIENT : SPANTAP_SERVER;
  propagation_extract(span, envoy, traced);
  /* Nothing else calls the library in an idle Envoy: a new agent answers while the request is on its way. */
  if (span_sampled(span) && !spantap_enabled(worker->producer)) (void)spantap_attach(worker->producer);
  span_set_text(span, TEXT_OPERATION, operation);
  return span;
}

void envoy_dynamic_module_on_tracer_span_set_operation(const void* span, envoy_text operation) {
  if (operation.size == 0 || operation.data == NULL) return;
  span_set_text(own(span), TEXT_OPERATION, operation);
  own(span)->renamed = 1;
}

void envoy_dynamic_module_on_tracer_span_set_tag(const void* span, envoy_text name, envoy_text value) {
  struct span* to = own(span);
  /* Tags of a request's beginning are kept in case that Envoy decides anew (set_sampled). */
  if (!span_sampled(to) && !(to->local_decision && to->attr_count < 4)) return;
  span_set_tag(to, name, value);
}

void envoy_dynamic_module_on_tracer_span_reserve_tags(const void* span, size_t count) {
  (void)span;
  (void)count;
}

void envoy_dynamic_module_on_tracer_span_log(const void* span, int64_t unix_ns, envoy_text event) {
  if (span_sampled(own(span)) && unix_ns > 0) span_add_event(own(span), (uint64_t)unix_ns, event);
}

void envoy_dynamic_module_on_tracer_span_finish(const void* span) {
  if (span_sampled(own(span))) report_span(own(span), now_unix_ns());
}

void envoy_dynamic_module_on_tracer_span_inject_context(const void* span, void* envoy) {
  propagation_inject(own(span), envoy);
}

/* The router's child means that spawn_upstream_span is set, and then Envoy's own tracer calls every parent a server;
 * nothing else tells (report.c sees to those without child). Other children are calls of filters (ext_authz, say). */
const void* envoy_dynamic_module_on_tracer_span_spawn_child(const void* span, envoy_text name, int64_t start_unix_ns) {
  static const char kRouter[] = "router ";
  struct span* parent = own(span);
  struct worker* worker = worker_here(parent->worker->outlet);
  struct span* child = worker != NULL && !worker->off ? span_new(worker) : NULL;
  if (child == NULL) return NULL;
  if (begins(name, kRouter, sizeof(kRouter) - 1) &&
      !__atomic_load_n(&parent->tracer->routes_children, __ATOMIC_RELAXED)) {
    __atomic_store_n(&parent->tracer->routes_children, 1, __ATOMIC_RELAXED);
  }
  child->kind = SPANTAP_CLIENT;
  child->child = 1;
  child->tracer = parent->tracer;
  child->start_unix_ns = start_unix_ns > 0 ? (uint64_t)start_unix_ns : now_unix_ns();
  propagation_child(child, parent);
  span_set_text(child, TEXT_OPERATION, name);
  return child;
}

void envoy_dynamic_module_on_tracer_span_set_sampled(const void* span, bool sampled) {
  struct span* to = own(span);
  to->context.flags = (uint8_t)((to->context.flags & ~SPANTAP_SAMPLED) | (sampled ? SPANTAP_SAMPLED : 0));
}

bool envoy_dynamic_module_on_tracer_span_use_local_decision(const void* span) { return own(span)->local_decision; }

/* As in Envoy's own tracer: the baggage header passes as it is, spans have none. */
bool envoy_dynamic_module_on_tracer_span_get_baggage(const void* span, envoy_text key, envoy_text* value) {
  (void)span;
  (void)key;
  value->data = NULL;
  value->size = 0;
  return false;
}

void envoy_dynamic_module_on_tracer_span_set_baggage(const void* span, envoy_text key, envoy_text value) {
  (void)span;
  (void)key;
  (void)value;
}

static bool get_hex(struct span* span, const uint8_t* bytes, size_t count, envoy_text* value) {
  for (size_t i = 0; i < count; ++i) {
    span->hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    span->hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
  value->data = span->hex;
  value->size = 2 * count;
  return true;
}

bool envoy_dynamic_module_on_tracer_span_get_trace_id(const void* span, envoy_text* value) {
  return get_hex(own(span), own(span)->context.trace_id, sizeof(own(span)->context.trace_id), value);
}

bool envoy_dynamic_module_on_tracer_span_get_span_id(const void* span, envoy_text* value) {
  return get_hex(own(span), own(span)->context.span_id, sizeof(own(span)->context.span_id), value);
}

void envoy_dynamic_module_on_tracer_span_destroy(const void* span) {
  if (span != NULL) span_free(own(span));
}
