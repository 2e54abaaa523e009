// SPDX-License-Identifier: Apache-2.0
//
// Whether a file holds what its option needs. What the certificate or key is worth is the transport's to find out.
//
// Reads through `outside`; otherwise pure.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "agent/cli/sources.h"

namespace spantap {

enum class PemKind : uint8_t { kCertificate, kKey };

// InvalidArgument: it cannot be read, or no block of this kind in it can be decoded.
absl::Status CheckPemFile(const Outside& outside, const std::string& path, PemKind kind);

}  // namespace spantap
