// SPDX-License-Identifier: Apache-2.0
#include "agent/link/linker.h"

#include "agent/link/linker_state.h"

namespace spantap {

Linker::Linker(const LinkSettings& settings, IdGenerator& ids, LinkedSink& sink, std::unique_ptr<CauseFinder> finder)
    : state_(std::make_unique<State>(settings, ids, sink, std::move(finder))) {}
Linker::~Linker() = default;

void Linker::OnRequest(Exchange& exchange) { state_->OnRequest(exchange); }

void Linker::OnResponse(Exchange& exchange) { state_->OnResponse(exchange); }

void Linker::OnFinished(std::unique_ptr<Exchange> exchange) { state_->OnFinished(std::move(exchange)); }

void Linker::OnForeign(uint32_t tgid, const ConnectionEnds& ends, Opener opener) {
  for (const auto& rule : state_->rules) rule->OnForeign(tgid, ends, opener);
}

void Linker::OnProducers(const std::vector<uint32_t>& tgids) { state_->OnProducers(tgids); }

void Linker::OnSpan(std::unique_ptr<HandedSpan> handed) { state_->OnSpan(std::move(handed)); }

void Linker::OnProcessEnd(uint32_t tgid) { state_->OnProcessEnd(tgid); }

void Linker::OnTime(uint64_t mono_ns) {
  state_->Touch(mono_ns);
  state_->PumpSpans();
  state_->AskCauses();
  state_->Pump();
}

void Linker::Flush() { state_->Flush(); }

const LinkCounters& Linker::counters() const {
  state_->counters.cause = state_->causes.finder().counters();
  return state_->counters;
}

CauseFinder& Linker::causes() { return state_->causes.finder(); }

}  // namespace spantap
