/* SPDX-License-Identifier: Apache-2.0
 *
 * The spans of a stream that has ended: one of kind SERVER, and one of kind CLIENT if a server was reached for. Used by
 * module.c. On the thread of the producer; memory: about 12 KiB of its stack.
 */
#ifndef SPANTAP_PACKAGING_HAPROXY_SPANS_H_
#define SPANTAP_PACKAGING_HAPROXY_SPANS_H_

#include "packaging/haproxy/request.h"
#include "packaging/haproxy/result.h"

void spans_submit(spantap_producer* producer, const struct context* context, const struct result* result);

#endif /* SPANTAP_PACKAGING_HAPROXY_SPANS_H_ */
