// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/audit_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "tests/tools/made_spans.h"

namespace spantap {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

// All spans are of one seed: a driver makes no others.
std::string LineOf(absl::string_view request) {
  ExportTraceServiceRequest message;
  if (!message.ParseFromArray(request.data(), static_cast<int>(request.size()))) Die("audit: not a request");
  uint32_t seed = 0;
  std::vector<uint32_t> indexes;
  for (const auto& resource_spans : message.resource_spans()) {
    for (const auto& scope_spans : resource_spans.scope_spans()) {
      for (const auto& span : scope_spans.spans()) {
        const auto key = MadeSpans::KeyOf(span.span_id());
        if (!key) Die("audit: a span nobody made");
        seed = key->seed;
        indexes.push_back(key->index);
      }
    }
  }
  std::sort(indexes.begin(), indexes.end());
  std::string line = absl::StrCat(seed);
  for (size_t i = 0; i < indexes.size(); ++i) {
    const uint32_t first = indexes[i];
    while (i + 1 < indexes.size() && indexes[i + 1] == indexes[i] + 1) ++i;
    absl::StrAppend(&line, line.find(' ') == std::string::npos ? " " : ",", first, "-", indexes[i]);
  }
  return line + "\n";
}

}  // namespace

AuditSpool::AuditSpool(std::unique_ptr<Spool> spool, const std::string& path)
    : spool_(std::move(spool)), file_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
  if (file_.get() < 0) Die("audit file");
}

absl::Status AuditSpool::Append(absl::string_view request, uint64_t spans) {
  const std::string line = LineOf(request);  // before: the less between the two, the sharper the witness
  absl::Status status = spool_->Append(request, spans);
  if (status.ok() && write(file_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    Die("audit file");
  }
  return status;
}

}  // namespace spantap
