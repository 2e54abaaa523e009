// SPDX-License-Identifier: Apache-2.0
//
// For messages: a URL without what must not be printed. Used by the transports; see also TracesUrl().
//
// Pure. Any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

// `url` without user, password, query and fragment.
std::string UrlWithoutSecrets(absl::string_view url);

}  // namespace spantap
