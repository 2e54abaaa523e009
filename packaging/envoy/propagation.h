/* SPDX-License-Identifier: Apache-2.0
 *
 * W3C trace context between Envoy's headers and spans (https://www.w3.org/TR/trace-context-2/). Used by tracer.c.
 * Who decides: the traceparent's flag if there is one, else Envoy; a malformed one starts a new trace, and takes its
 * tracestate with it.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_PROPAGATION_H_
#define SPANTAP_PACKAGING_ENVOY_PROPAGATION_H_

#include "packaging/envoy/span.h"

/* 0: this Envoy offers no headers to a tracer. */
int propagation_possible(void);
/* Ids and decision of a request's span, from the headers that came. */
void propagation_extract(struct span* span, void* envoy, int traced);
void propagation_child(struct span* child, const struct span* parent);
/* Into the headers that go out. */
void propagation_inject(struct span* span, void* envoy);

#endif /* SPANTAP_PACKAGING_ENVOY_PROPAGATION_H_ */
