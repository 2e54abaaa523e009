// SPDX-License-Identifier: Apache-2.0
//
// A linked exchange -> a span: name, kind, status and attributes of the stable HTTP semantic
// conventions (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), with redaction.
//
// Event thread only; no state but settings. Cost: about one microsecond a span.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "agent/link/linked_exchange.h"
#include "exporter/model/span.h"
#include "exporter/model/url.h"

namespace spantap {

struct SpanStyle {
  using QueryValues = spantap::QueryValues;
  QueryValues query_values = QueryValues::kRedacted;
};

// `wall_minus_mono_ns` is the offset read nearest to the exchange's end: one offset per span.
Span BuildSpan(const LinkedExchange& linked, const SpanStyle& style, uint64_t wall_minus_mono_ns,
               std::shared_ptr<const Resource> resource);

// Of the bodies, as far as nothing hides a part of them. A request without a body says nothing.
struct BodySizes {
  std::optional<int64_t> request;
  std::optional<int64_t> response;
};
BodySizes BodySizesOf(const Exchange& exchange);

// Why it hangs where it hangs, and what trace it bore before: attributes and a span link.
void AddLinkFacts(const LinkedExchange& linked, Span* span);
// Heads and bodies of which not everything was seen.
void AddDoubts(const Exchange& exchange, AttributeBlob* attributes);

// False for kUnfinished too: that is the end of our view, not of the exchange.
bool IsTransportFailure(ExchangeError error);
// 5xx, and for clients 4xx as well. False for 0 (no response).
bool IsErrorStatus(Role role, uint16_t code);

}  // namespace spantap
