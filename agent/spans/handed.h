// SPDX-License-Identifier: Apache-2.0
//
// A span that a process handed off, made ready for export: with what its exchange tells and it does not, and in the
// trace that the linker put it into.
//
// Used by agent/run. Pure. Cost: about half a microsecond with an exchange (one look at each attribute's name).
#pragma once

#include "agent/link/linked_exchange.h"
#include "exporter/model/span.h"

namespace spantap {

// `linked.handed` is not null; it is taken. Name, kind, times, status, resource and attributes are the span's own.
Span JoinSpan(LinkedExchange& linked);

// One without an exchange, moved to `trace_id` if that is not its own.
Span LoneSpan(HandedSpan& handed, const TraceId& trace_id);

}  // namespace spantap
