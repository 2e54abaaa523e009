/* SPDX-License-Identifier: Apache-2.0
 *
 * A request as HAProxy has written it (REQUEST_FORMAT) becomes a context: what the header upstream says, and, if it is
 * sampled, all that the spans need when the stream ends. The context travels with the stream as the text of a variable,
 * so that there is nothing to free. Used by module.c (writing) and result.c (reading).
 * Pure but for the clock and the producer's random numbers. Memory: CONTEXT_BYTES on the caller's stack.
 *
 *   traceparent (55)  action (1)      all that an unsampled request has
 *   server span's id, parent's id (16 hex digits each), begin in ns (16 hex digits), 1 if the parent is remote
 *   texts in the order of enum context_text, each followed by a line feed
 */
#ifndef SPANTAP_PACKAGING_HAPROXY_REQUEST_H_
#define SPANTAP_PACKAGING_HAPROXY_REQUEST_H_

#include "spantap/spantap.h"

enum context_text {
  TEXT_METHOD,
  TEXT_VERSION, /* 1.1, 2.0 */
  TEXT_TLS,     /* 1: the client spoke TLS */
  TEXT_PATH,
  TEXT_QUERY,
  TEXT_HOST,
  TEXT_REQUEST_ID,
  TEXT_USER_AGENT,
  TEXT_TRACE_STATE,
  TEXT_COUNT
};

/* The byte behind traceparent, for the rules of the configuration. */
enum context_action {
  ACTION_INJECT = 'I',
  ACTION_INJECT_ROOT = 'N', /* a new trace: a tracestate that came is of another one */
  ACTION_PASS = '-'         /* no agent: a span that nobody gets must not come between the others */
};
enum { CONTEXT_ACTION_AT = 55, CONTEXT_BYTES = 12288 };

struct context {
  spantap_context client; /* what was injected */
  uint8_t server_span_id[8];
  uint8_t parent_span_id[8];
  uint8_t parent_is_remote;
  uint64_t begin_unix_ns;
  spantap_str texts[TEXT_COUNT]; /* within what was read */
};

/* Bytes written to `out`. */
size_t request_to_context(spantap_producer* producer, spantap_str request, char out[CONTEXT_BYTES]);
/* 0: an unsampled request, or none of ours. */
int context_read(spantap_str text, struct context* context);

#endif /* SPANTAP_PACKAGING_HAPROXY_REQUEST_H_ */
