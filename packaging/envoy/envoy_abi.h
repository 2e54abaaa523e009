/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of Envoy's dynamic module interface that a tracer needs, declared from its documentation: what Envoy calls
 * (on_*), and what it offers (callback_*). Plain C; texts are pointer and length and never end with a NUL.
 * Used by tracer.c, propagation.c and statistics.c. Hooks of a configuration run on the main thread, hooks of a span on
 * the worker that owns the request. Texts that Envoy passes live for the call only; so do those given to it: it copies.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_ENVOY_ABI_H_
#define SPANTAP_PACKAGING_ENVOY_ENVOY_ABI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What Envoy 1.40 is. It takes modules of the version before and after with a warning. */
#define ENVOY_ABI_VERSION "v0.2.0"

typedef struct envoy_text {
  const char* data; /* may be NULL if size is 0 */
  size_t size;
} envoy_text;

enum { ENVOY_LOG_INFO = 2, ENVOY_LOG_ERROR = 4 };

#define ENVOY_HOOK __attribute__((visibility("default")))
/* An Envoy that lacks one is told so by on_program_init, instead of ending at the first call. */
#define ENVOY_OFFERS __attribute__((weak))

ENVOY_HOOK const char* envoy_dynamic_module_on_program_init(void);
/* NULL: the configuration is rejected. */
ENVOY_HOOK const void* envoy_dynamic_module_on_tracer_config_new(void* envoy, envoy_text name, envoy_text config);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_config_destroy(const void* config);
/* NULL: Envoy goes on without a span, and headers pass as they are. `envoy` is for the callbacks, during the call. */
ENVOY_HOOK const void* envoy_dynamic_module_on_tracer_start_span(const void* config, void* envoy, envoy_text operation,
                                                                 bool traced, unsigned reason);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_set_operation(const void* span, envoy_text operation);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_set_tag(const void* span, envoy_text name, envoy_text value);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_reserve_tags(const void* span, size_t count);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_log(const void* span, int64_t unix_ns, envoy_text event);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_finish(const void* span);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_inject_context(const void* span, void* envoy);
ENVOY_HOOK const void* envoy_dynamic_module_on_tracer_span_spawn_child(const void* span, envoy_text name,
                                                                       int64_t start_unix_ns);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_set_sampled(const void* span, bool sampled);
ENVOY_HOOK bool envoy_dynamic_module_on_tracer_span_use_local_decision(const void* span);
ENVOY_HOOK bool envoy_dynamic_module_on_tracer_span_get_baggage(const void* span, envoy_text key, envoy_text* value);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_set_baggage(const void* span, envoy_text key, envoy_text value);
ENVOY_HOOK bool envoy_dynamic_module_on_tracer_span_get_trace_id(const void* span, envoy_text* value);
ENVOY_HOOK bool envoy_dynamic_module_on_tracer_span_get_span_id(const void* span, envoy_text* value);
ENVOY_HOOK void envoy_dynamic_module_on_tracer_span_destroy(const void* span);

/* Headers of the request: those that came (start_span), or those that go out (inject_context). `value` is Envoy's. */
ENVOY_OFFERS bool envoy_dynamic_module_callback_tracer_get_trace_context_value(void* envoy, envoy_text key,
                                                                               envoy_text* value);
ENVOY_OFFERS void envoy_dynamic_module_callback_tracer_set_trace_context_value(void* envoy, envoy_text key,
                                                                               envoy_text value);
ENVOY_OFFERS void envoy_dynamic_module_callback_tracer_remove_trace_context_value(void* envoy, envoy_text key);
ENVOY_OFFERS bool envoy_dynamic_module_callback_tracer_get_trace_context_host(void* envoy, envoy_text* value);
ENVOY_OFFERS bool envoy_dynamic_module_callback_tracer_get_trace_context_path(void* envoy, envoy_text* value);
ENVOY_OFFERS bool envoy_dynamic_module_callback_tracer_get_trace_context_method(void* envoy, envoy_text* value);
/* Counters among Envoy's statistics: defined by a configuration while it is made, counted by any thread. 0: done. */
ENVOY_OFFERS int envoy_dynamic_module_callback_tracer_define_counter(void* envoy, envoy_text name, envoy_text* labels,
                                                                     size_t label_count, size_t* id);
ENVOY_OFFERS int envoy_dynamic_module_callback_tracer_increment_counter(void* envoy, size_t id, envoy_text* labels,
                                                                        size_t label_count, uint64_t by);
ENVOY_OFFERS void envoy_dynamic_module_callback_log(int level, envoy_text message);

#endif /* SPANTAP_PACKAGING_ENVOY_ENVOY_ABI_H_ */
