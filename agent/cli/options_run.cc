// SPDX-License-Identifier: Apache-2.0
//
// Options of the run itself.
#include <arpa/inet.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "agent/cli/forms.h"
#include "agent/cli/option_tables.h"
#include "agent/cli/standard_variables.h"

namespace spantap {
namespace {

using forms::Bad;

bool IsAddress(int family, absl::string_view text) {
  in6_addr parsed = {};  // room for either family
  return inet_pton(family, std::string(text).c_str(), &parsed) == 1;
}

// Numeric, so that starting needs no name server; an IPv6 address stands in brackets.
absl::Status CheckListen(absl::string_view word) {
  const size_t colon = word.rfind(':');
  if (colon == absl::string_view::npos) return Bad("has no port");
  const absl::string_view address = word.substr(0, colon);
  const bool bracketed = address.size() > 2 && absl::StartsWith(address, "[") && absl::EndsWith(address, "]");
  const bool good = bracketed ? IsAddress(AF_INET6, address.substr(1, address.size() - 2))
                              : address == "localhost" || IsAddress(AF_INET, address);
  if (!good) return Bad("has no numeric address before the port");
  if (!forms::ParseCount(word.substr(colon + 1), 0, 65535).ok()) return Bad("has no port from 0 to 65535");
  return absl::OkStatus();
}

Form DurationSeconds() {
  return {"a number above 0",
          [](absl::string_view word, Draft& draft) {
            double seconds = 0;
            if (!absl::SimpleAtod(word, &seconds)) return Bad("is not a number");
            if (!(seconds > 0 && seconds <= 1e9)) return Bad("is not between 0 and 1000000000");
            draft.settings.duration = absl::Seconds(seconds);
            return absl::OkStatus();
          },
          [](const Draft& draft) {
            std::vector<std::string> words;
            const absl::Duration duration = draft.settings.duration;
            if (duration != absl::InfiniteDuration())
              words.push_back(forms::ShowNumber(absl::ToDoubleSeconds(duration)));
            return words;
          }};
}

Form LogLevels() {
  using Level = std::string;
  return forms::OneOf<Level>(
      [](auto& d) -> auto& { return d.settings.log_level; },
      {{"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}, {"off", "off"}}, "log level");
}

}  // namespace

// clang-format off
std::vector<Option> RunOptions() {
  return {
    {"with-secrets", nullptr, kForRecord, kOnce, {}, "keep the values of authorization, cookie and the like in the file",
     forms::OnOff([](auto& d) -> auto& { return d.settings.with_secrets; })},
    {"json", nullptr, kForTrace | kForReplay, kOnce, {}, "one JSON object per span and line instead of trees",
     forms::OnOff([](auto& d) -> auto& { return d.settings.json; })},
    {"duration", "SECONDS", kForLive, kOnce, {}, "end after this time (default: never)", DurationSeconds()},
    {"listen", "ADDRESS:PORT", kForAgent, kOnce, {}, "serve /metrics, /healthz, /readyz and /ledger over HTTP here; port 0: any (default: nowhere)",
     forms::Text("IPV4:PORT, [IPV6]:PORT or localhost:PORT, such as 127.0.0.1:9464", [](auto& d) -> auto& { return d.settings.listen; }, CheckListen)},
    {"disabled", nullptr, kForAgent, kOnce, standard::Of(standard::kDisabled, standard::Boolean, standard::kBooleanForm),
     "do nothing until told to end", forms::OnOff([](auto& d) -> auto& { return d.settings.disabled; })},
    {"log-level", "LEVEL", kForAll, kOnce, standard::Of(standard::kLogLevel, standard::Name), "debug, info, warn, error or off", LogLevels()},
  };
}
// clang-format on

}  // namespace spantap
