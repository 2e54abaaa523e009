// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cross_checks.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/cli/pem_file.h"

namespace spantap {
namespace {

using Found = std::optional<Contradiction>;

class Checks {
 public:
  Checks(const Draft& draft, const Origins& origins, const Outside& outside)
      : draft_(draft), origins_(origins), outside_(outside) {}

  Found Endpoints() const {
    for (size_t i = 0; i < draft_.endpoints.size(); ++i) {
      if (EndpointOf(draft_, draft_.endpoints[i]).ok()) continue;
      return Contradiction{{"endpoint"}, absl::StrCat("is no endpoint for ", ProtocolName(draft_.protocol)), i};
    }
    // What outranks --exporter none says otherwise; what does not, has no effect.
    if (!draft_.exports && Given("endpoint") && RankOf("endpoint") > RankOf("exporter")) {
      return Contradiction{{"endpoint", "exporter"}, absl::StrCat("contradicts exporter none, ", From("exporter"))};
    }
    return std::nullopt;
  }

  Found Headers() const {
    TransportSettings transport = draft_.transport;
    transport.endpoint.protocol = draft_.protocol;
    const absl::Status status = CheckHeaders(transport);
    if (status.ok()) return std::nullopt;
    return Contradiction{{"header"}, absl::StrCat("cannot be sent: ", std::string(status.message()))};
  }

  Found Files() const {
    const TlsSettings& tls = draft_.transport.tls;
    for (const auto& [name, path, kind] :
         {std::tuple("certificate", &tls.ca_file, PemKind::kCertificate),
          std::tuple("client-certificate", &tls.certificate_file, PemKind::kCertificate),
          std::tuple("client-key", &tls.key_file, PemKind::kKey)}) {
      if (path->empty()) continue;
      const absl::Status status = CheckPemFile(outside_, *path, kind);
      if (!status.ok()) return Contradiction{{name}, std::string(status.message())};
    }
    if (tls.key_file.empty() && !tls.certificate_file.empty()) {
      return Contradiction{{"client-certificate"}, "is given without client-key"};
    }
    if (!tls.key_file.empty() && tls.certificate_file.empty()) {
      return Contradiction{{"client-key"}, "is given without client-certificate"};
    }
    return std::nullopt;
  }

  Found Sizes() const {
    const ExporterSettings& exporter = draft_.settings.exporter;
    if (exporter.batch.max_spans > exporter.queue.max_spans) {
      return More("batch-spans", "queue-spans", absl::StrCat(exporter.queue.max_spans));
    }
    if (exporter.retry.initial > exporter.retry.max) {
      return More("retry-initial", "retry-max", absl::FormatDuration(exporter.retry.max));
    }
    return std::nullopt;
  }

  Found SpoolParts() const {
    if (!draft_.spool_dir.empty()) {
      if (draft_.spool.max_bytes >= draft_.settings.exporter.batch.max_bytes) return std::nullopt;
      return Contradiction{{"spool-bytes", "batch-bytes"},
                           absl::StrCat("is less than batch-bytes (", draft_.settings.exporter.batch.max_bytes, ", ",
                                        From("batch-bytes"), ")")};
    }
    for (const char* name : {"spool-bytes", "spool-age", "spool-rate"}) {
      if (RankOf(name) != Rank::kDefault) return Contradiction{{name}, "is given without spool"};
    }
    return std::nullopt;
  }

  Found Sockets() const {
    const std::vector<std::string>& paths = draft_.settings.handoff.sockets;
    for (size_t i = 0; i < paths.size(); ++i) {
      if (std::find(paths.begin(), paths.begin() + i, paths[i]) != paths.begin() + i) {
        return Contradiction{{"socket"}, "is given twice", i};
      }
    }
    if (!paths.empty() || draft_.settings.handoff.allowed_uids.empty()) return std::nullopt;
    return Contradiction{{"socket-allow-uid"}, "is given without socket"};
  }

  // A share that outranks (or stands beside) a sampler without one would be ignored silently.
  Found Sampling() const {
    if (NeedsRatio(draft_.sampler) || !Given("sample") || RankOf("sample") < RankOf("sampler")) return std::nullopt;
    return Contradiction{{"sample", "sampler"},
                         absl::StrCat("has no effect with the sampler that is chosen, ", From("sampler"))};
  }

 private:
  Rank RankOf(absl::string_view name) const {
    const auto it = origins_.find(name);
    return it == origins_.end() ? Rank::kDefault : it->second.rank;
  }
  // By one of our own names, not a standard variable.
  bool Given(absl::string_view name) const {
    const Rank rank = RankOf(name);
    return rank != Rank::kDefault && rank != Rank::kStandard;
  }
  std::string From(absl::string_view name) const {
    const auto it = origins_.find(name);
    return absl::StrCat("from ", it == origins_.end() ? "default" : it->second.OfWord(0));
  }
  Contradiction More(const char* name, const char* limit, absl::string_view value) const {
    return {{name, limit}, absl::StrCat("is more than ", limit, " (", value, ", ", From(limit), ")")};
  }

  const Draft& draft_;
  const Origins& origins_;
  const Outside& outside_;
};

bool IsDefault(const Origins& origins, absl::string_view name) {
  const auto it = origins.find(name);
  return it == origins.end() || it->second.rank == Rank::kDefault;
}

}  // namespace

void AdaptDefaults(Command command, const Origins& origins, Draft& draft) {
  ExporterSettings& exporter = draft.settings.exporter;
  if (IsDefault(origins, "batch-spans")) {
    exporter.batch.max_spans = std::min(exporter.batch.max_spans, exporter.queue.max_spans);
    exporter.batch.target_spans = std::min(exporter.batch.target_spans, exporter.batch.max_spans);
  }
  if (IsDefault(origins, "retry-initial"))
    exporter.retry.initial = std::min(exporter.retry.initial, exporter.retry.max);
  const bool exports_always = command == Command::kAgent || command == Command::kCheck;
  if (exports_always && draft.endpoints.empty()) {
    draft.endpoints = {draft.protocol == Protocol::kGrpc ? "http://localhost:4317" : "http://localhost:4318"};
  }
}

Found FindContradiction(const Draft& draft, const Origins& origins, const Outside& outside) {
  const Checks checks(draft, origins, outside);
  for (const auto check : {&Checks::Endpoints, &Checks::Headers, &Checks::Files, &Checks::Sizes, &Checks::SpoolParts,
                           &Checks::Sockets, &Checks::Sampling}) {
    if (Found found = (checks.*check)()) return found;
  }
  return std::nullopt;
}

absl::StatusOr<Endpoint> EndpointOf(const Draft& draft, absl::string_view word) {
  const EndpointForm form = absl::StartsWith(word, kExactPath) ? EndpointForm::kSignal : EndpointForm::kBase;
  return ParseEndpoint(absl::StripPrefix(word, kExactPath), draft.protocol, form, draft.insecure);
}

}  // namespace spantap
