// SPDX-License-Identifier: Apache-2.0
//
// Where an exporter gets its transports and its spool from: Exporter::Create() uses the real ones, tests their own.
//
// The functions are called by MakeExporter(), and those of the transports again by Start() in a child of fork().
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "exporter/send/exporter.h"

namespace spantap {

struct ExporterParts {
  std::function<absl::StatusOr<std::vector<std::unique_ptr<Transport>>>()> transports;
  // Empty: no spool.
  std::function<absl::StatusOr<std::unique_ptr<Spool>>(Spool::LossFn, Spool::LogFn)> spool = {};
};

// As Exporter::Create(); `settings.endpoints` and `settings.spool` are the parts' business.
absl::StatusOr<std::unique_ptr<Exporter>> MakeExporter(const ExporterSettings& settings, ExporterParts parts,
                                                       Ledger& ledger, std::function<void(absl::string_view)> log);

}  // namespace spantap
