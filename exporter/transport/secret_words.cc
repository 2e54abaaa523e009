// SPDX-License-Identifier: Apache-2.0
#include "exporter/transport/secret_words.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace spantap {
namespace {

constexpr char kHidden[] = "(hidden)";

}  // namespace

SecretWords::SecretWords(const std::vector<std::pair<std::string, std::string>>& headers) {
  for (const auto& [name, value] : headers) {
    if (value.size() >= kMinBytes) words_.push_back(value);
    for (const absl::string_view word : absl::StrSplit(value, absl::ByAnyChar(" \t"))) {
      if (word.size() >= kMinBytes && word.size() < value.size()) words_.emplace_back(word);
    }
  }
  std::sort(words_.begin(), words_.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

void SecretWords::HideIn(std::string* message) const {
  for (const std::string& word : words_) absl::StrReplaceAll({{word, kHidden}}, message);
  for (const std::string& word : words_) {
    for (size_t bytes = std::min(word.size() - 1, message->size()); bytes >= kMinBytes; --bytes) {
      if (!absl::EndsWith(*message, absl::string_view(word).substr(0, bytes))) continue;
      message->replace(message->size() - bytes, bytes, kHidden);
      break;
    }
  }
}

}  // namespace spantap
