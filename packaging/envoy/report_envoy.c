/* SPDX-License-Identifier: Apache-2.0 */
#include "packaging/envoy/report.h"

/* As Envoy's own OpenTelemetry tracer has it: every tag is a text under its own name. The request's id goes under the
 * agent's name, too, by which spans that it observes carry it. */
void report_envoy(struct report* report) {
  const struct span* span = report->span;
  spantap_str request_id = span_get(span, TAG_REQUEST_ID);
  for (uint32_t offset = SPAN_FIRST_ITEM; offset < span->used; offset += item_bytes(span_item(span, offset))) {
    report_item(report, offset);
  }
  if (request_id.size != 0) report_string(report, SPANTAP_KEY_REQUEST_ID, request_id);
  report->out.name = span_get(span, TEXT_OPERATION);
  report->out.status = report_code_is_error(span) ? SPANTAP_STATUS_ERROR : SPANTAP_STATUS_UNSET;
}
