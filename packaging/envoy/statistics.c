/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/statistics.h"

#include "packaging/envoy/envoy_abi.h"

void statistics_define(struct statistics* statistics, void* envoy) {
  static const envoy_text kNames[COUNTERS] = {
      [COUNTER_SENT] = SPANTAP_STR("spantap.spans_sent"),
      [COUNTER_NO_AGENT] = SPANTAP_STR("spantap.spans_dropped_no_agent"),
      [COUNTER_FULL] = SPANTAP_STR("spantap.spans_dropped_full"),
      [COUNTER_OTHER] = SPANTAP_STR("spantap.spans_dropped_other"),
  };
  statistics->envoy = NULL;
  if (envoy_dynamic_module_callback_tracer_define_counter == NULL ||
      envoy_dynamic_module_callback_tracer_increment_counter == NULL) {
    return;
  }
  for (int i = 0; i < COUNTERS; ++i) {
    if (envoy_dynamic_module_callback_tracer_define_counter(envoy, kNames[i], NULL, 0, &statistics->ids[i]) != 0)
      return;
  }
  statistics->envoy = envoy;
}

void statistics_count(const struct statistics* statistics, spantap_status status) {
  if (statistics->envoy == NULL) return;
  int counter = status == SPANTAP_OK         ? COUNTER_SENT
                : status == SPANTAP_NO_AGENT ? COUNTER_NO_AGENT
                : status == SPANTAP_FULL     ? COUNTER_FULL
                                             : COUNTER_OTHER;
  envoy_dynamic_module_callback_tracer_increment_counter(statistics->envoy, statistics->ids[counter], NULL, 0, 1);
}
