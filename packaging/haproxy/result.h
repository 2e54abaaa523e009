/* SPDX-License-Identifier: Apache-2.0
 *
 * The result of a stream as HAProxy has just written it into its line of structured data (RESULT_FORMAT), as texts and
 * numbers. Used by module.c and spans.c. Pure, total: whatever lies in the buffer, `size` bytes of it are read at most,
 * and a line that is not ours is none.
 */
#ifndef SPANTAP_PACKAGING_HAPROXY_RESULT_H_
#define SPANTAP_PACKAGING_HAPROXY_RESULT_H_

#include "packaging/haproxy/formats.h"
#include "spantap/spantap.h"

struct result {
  spantap_str fields[RESULT_COUNT]; /* within the line; none is empty */
};

/* 0: no line of ours. */
int result_read(const char* line, size_t size, struct result* result);
/* The field as a number; a + in front is allowed. -1: it is none (HAProxy's "-"), or negative. */
int64_t result_number(const struct result* result, enum result_field field);
/* A connection by the fields of its peer's address and port, and of its own port. Returns conn, NULL if there is no IP
 * address. */
const spantap_conn* result_conn(const struct result* result, enum result_field peer, enum result_field own_port,
                                spantap_conn* conn);

#endif /* SPANTAP_PACKAGING_HAPROXY_RESULT_H_ */
