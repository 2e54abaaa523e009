/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/propagation.h"

#include <string.h>

static const envoy_text kTraceparent = SPANTAP_STR("traceparent");
static const envoy_text kTracestate = SPANTAP_STR("tracestate");
static const envoy_text kScheme = SPANTAP_STR(":scheme");

int propagation_possible(void) {
  return envoy_dynamic_module_callback_tracer_get_trace_context_value != NULL &&
         envoy_dynamic_module_callback_tracer_set_trace_context_value != NULL &&
         envoy_dynamic_module_callback_tracer_remove_trace_context_value != NULL &&
         envoy_dynamic_module_callback_tracer_get_trace_context_host != NULL &&
         envoy_dynamic_module_callback_tracer_get_trace_context_path != NULL &&
         envoy_dynamic_module_callback_tracer_get_trace_context_method != NULL;
}

static int get(void* envoy, envoy_text key, envoy_text* value) {
  value->data = NULL;
  value->size = 0;
  return envoy_dynamic_module_callback_tracer_get_trace_context_value(envoy, key, value) && value->data != NULL;
}

void propagation_extract(struct span* span, void* envoy, int traced) {
  spantap_context parent;
  envoy_text header, state;
  memset(&parent, 0, sizeof(parent));
  if (get(envoy, kTraceparent, &header)) {
    spantap_str value = {header.data, header.size};
    (void)spantap_extract(value, &parent);
  }
  (void)spantap_sample(span->worker->producer, &parent, &span->context);
  if (!parent.remote) {
    span->local_decision = 1;
    if (!traced) span->context.flags &= (uint8_t)~SPANTAP_SAMPLED;
    return;
  }
  memcpy(span->parent_span_id, parent.span_id, sizeof(parent.span_id));
  span->parent_is_remote = 1;
  if (get(envoy, kTracestate, &state)) span_set_text(span, TEXT_TRACE_STATE, state);
}

void propagation_child(struct span* child, const struct span* parent) {
  spantap_str state = span_get(parent, TEXT_TRACE_STATE);
  (void)spantap_sample(child->worker->producer, &parent->context, &child->context);
  memcpy(child->parent_span_id, parent->context.span_id, sizeof(child->parent_span_id));
  if (state.size != 0) {
    envoy_text text = {state.data, state.size};
    span_set_text(child, TEXT_TRACE_STATE, text);
  }
}

/* What the semantic conventions want of an upstream request, and Envoy's tags do not have. */
static void remember_request(struct span* span, void* envoy) {
  envoy_text value;
  if (envoy_dynamic_module_callback_tracer_get_trace_context_method(envoy, &value)) {
    span_set_text(span, TEXT_METHOD, value);
  }
  if (envoy_dynamic_module_callback_tracer_get_trace_context_host(envoy, &value)) span_set_text(span, TEXT_HOST, value);
  if (envoy_dynamic_module_callback_tracer_get_trace_context_path(envoy, &value)) span_set_text(span, TEXT_PATH, value);
  if (get(envoy, kScheme, &value)) span_set_text(span, TEXT_SCHEME, value);
}

/* Headers of a request that is passed on have its tracestate already, perhaps in several lines; those of a request that
 * Envoy makes itself do not. */
void propagation_inject(struct span* span, void* envoy) {
  char text[SPANTAP_TRACEPARENT_SIZE];
  envoy_text traceparent = {text, sizeof(text)}, present;
  spantap_str state = span_get(span, TEXT_TRACE_STATE);
  if (spantap_inject(&span->context, text, sizeof(text)) != SPANTAP_OK) return;
  envoy_dynamic_module_callback_tracer_set_trace_context_value(envoy, kTraceparent, traceparent);
  if (state.size != 0) {
    envoy_text value = {state.data, state.size};
    if (!get(envoy, kTracestate, &present)) {
      envoy_dynamic_module_callback_tracer_set_trace_context_value(envoy, kTracestate, value);
    }
  } else {
    envoy_dynamic_module_callback_tracer_remove_trace_context_value(envoy, kTracestate);
  }
  if (span->child && span_sampled(span) && span->tracer->style == STYLE_OTEL) {
    remember_request(span, envoy);
  }
}
