// SPDX-License-Identifier: Apache-2.0
//
// What collectors and proxies say goes to the log and to /readyz, and some of them repeat the request that they refuse,
// tokens included. So the values of the configured headers, and their words ("Bearer TOKEN"), are taken out of it.
//
// Short words are kept: they are no tokens, and would make holes in ordinary text. Immutable; any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace spantap {

class SecretWords {
 public:
  explicit SecretWords(const std::vector<std::pair<std::string, std::string>>& headers);
  // Also the beginning of one at the end of a message, which may have been cut.
  void HideIn(std::string* message) const;

 private:
  static constexpr size_t kMinBytes = 8;
  std::vector<std::string> words_;  // longest first
};

}  // namespace spantap
