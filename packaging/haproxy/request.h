/* SPDX-License-Identifier: Apache-2.0
 *
 * A request as HAProxy has written it (REQUEST_FORMAT) becomes a context: what the header upstream says, and, if it is
 * sampled, all that the spans need when the stream ends. The context travels with the stream as the value of a
 * variable, so that there is nothing to free. Used by module.c (writing) and result.c (reading). Pure but for the clock
 * and the producer's random numbers. Memory: CONTEXT_BYTES on the caller's stack.
 *
 *   action (1)  traceparent (55)                  all that an unsampled request has
 *   struct kept, the texts one after the other    nobody but this file looks at these
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

/* The first byte, for the rules of the configuration. */
enum context_action {
  ACTION_INJECT = 'I',
  ACTION_INJECT_ROOT = 'N', /* a new trace: a tracestate that came is of another one */
  ACTION_PASS = '-'         /* no agent: a span that nobody gets must not come between the others */
};
enum { CONTEXT_TRACE_ID_AT = 4, CONTEXT_BYTES = 12288 };

struct kept {
  spantap_context server, client; /* the latter is what was injected */
  uint8_t parent_span_id[8];
  uint64_t begin_unix_ns;
  uint16_t sizes[TEXT_COUNT];
  uint8_t parent_is_remote, zero[5];
};

struct context {
  struct kept kept;
  spantap_str texts[TEXT_COUNT]; /* within what was read */
};

/* Bytes written to `out`. */
size_t request_to_context(spantap_producer* producer, spantap_str request, char out[CONTEXT_BYTES]);
/* 0: an unsampled request, or none of ours. */
int context_read(spantap_str value, struct context* context);

#endif /* SPANTAP_PACKAGING_HAPROXY_REQUEST_H_ */
