/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of sampled spans, among Envoy's own statistics: dynamicmodulescustom.spantap.spans_*. The agent counts
 * them, too; here they are seen even if there is no agent. Used by tracer.c (defined once a configuration) and report.c
 * (counted by workers, without a lock). An Envoy without such counters goes without.
 */
#ifndef SPANTAP_PACKAGING_ENVOY_STATISTICS_H_
#define SPANTAP_PACKAGING_ENVOY_STATISTICS_H_

#include <stddef.h>

#include "spantap/spantap.h"

enum { COUNTER_SENT, COUNTER_NO_AGENT, COUNTER_FULL, COUNTER_OTHER, COUNTERS };

struct statistics {
  void* envoy; /* the configuration, as Envoy knows it; NULL: no counters */
  size_t ids[COUNTERS];
};

void statistics_define(struct statistics* statistics, void* envoy);
/* By what spantap_submit() said. */
void statistics_count(const struct statistics* statistics, spantap_status status);

#endif /* SPANTAP_PACKAGING_ENVOY_STATISTICS_H_ */
