/* SPDX-License-Identifier: Apache-2.0
 *
 * A span that has ended becomes a spantap_span and is handed off. report.c has what both styles share, report_envoy.c
 * and report_otel.c what each makes of the tags. Used by tracer.c, on the worker that owns the span.
 * Memory: some 12 KB of stack, of which a usual span touches 1 KB; strings are borrowed from the span.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_REPORT_H_
#define SPANTAP_PACKAGING_ENVOY_REPORT_H_

#include "packaging/envoy/span.h"
#include "spantap/spantap.h"

enum { REPORT_ATTRS = SPANTAP_MAX_ATTRS + 32, REPORT_URL_BYTES = SPANTAP_MAX_VALUE };

struct report {
  const struct span* span;
  spantap_span out;
  spantap_conn conn;
  char url[REPORT_URL_BYTES]; /* put together from parts */
  spantap_event events[SPANTAP_MAX_EVENTS];
  spantap_attr attrs[REPORT_ATTRS];
};

/* Ends a sampled span; once. */
void report_span(struct span* span, uint64_t end_unix_ns);

/* Name, attributes and status, by style. */
void report_envoy(struct report* report);
void report_otel(struct report* report);

void report_string(struct report* report, spantap_key key, spantap_str value);
void report_named(struct report* report, spantap_str name, spantap_str value);
void report_int(struct report* report, spantap_key key, int64_t value);
/* A tag that is a number becomes an integer, else nothing. */
void report_number(struct report* report, spantap_key key, enum tag tag);
/* A tag or event under its own name; an item that a later one replaced, and texts, are passed over. */
void report_item(struct report* report, uint32_t offset);

/* Of the tag spantap.connection, whose parts stand in this order with a space between. Empty: not there. */
enum connection_part { DOWNSTREAM_PEER, DOWNSTREAM_LOCAL, UPSTREAM_PEER, UPSTREAM_LOCAL };
spantap_str report_connection_part(const struct span* span, enum connection_part part);
/* Whom the request went to, as ADDRESS:PORT. Empty: unknown. */
spantap_str report_upstream(const struct span* span);

/* The number in a tag; -1: none. */
int64_t report_tag_number(const struct span* span, enum tag tag);
/* By HTTP and gRPC status codes (https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status). */
int report_code_is_error(const struct span* span);

#endif /* SPANTAP_PACKAGING_ENVOY_REPORT_H_ */
