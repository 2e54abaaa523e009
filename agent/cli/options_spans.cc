// SPDX-License-Identifier: Apache-2.0
//
// Options of what spans hold and which are made.
#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/cli/forms.h"
#include "agent/cli/option_tables.h"
#include "agent/cli/standard_variables.h"
#include "agent/protocols/http1_infer.h"
#include "exporter/model/resource_attributes.h"

namespace spantap {
namespace {

using forms::Bad;

constexpr uint64_t kMaxLimit = 1'000'000;
constexpr size_t kMaxTokenHeaders = 16;

Form SamplerForm() {
  return forms::OneOf<Sampler>(
      [](auto& d) -> auto& { return d.sampler; },
      {{"always_on", Sampler::kAlwaysOn},
       {"always_off", Sampler::kAlwaysOff},
       {"traceidratio", Sampler::kRatio},
       {"parentbased_always_on", Sampler::kParentAlwaysOn},
       {"parentbased_always_off", Sampler::kParentAlwaysOff},
       {"parentbased_traceidratio", Sampler::kParentRatio}},
      "sampler");
}

Form Sample() {
  return forms::One(
      "a number from 0 to 100", [](auto& d) -> auto& { return d.sample_ratio; },
      [](absl::string_view word) -> absl::StatusOr<double> {
        double percent = 0;
        if (!absl::SimpleAtod(absl::StripSuffix(word, "%"), &percent)) return Bad("is not a number");
        if (!(percent >= 0 && percent <= 100)) return Bad("is not between 0 and 100");
        return percent / 100;
      },
      [](double ratio) { return forms::ShowNumber(ratio * 100); });
}

Form LinkConfidence() {
  return forms::One(
      "a number from 0 to 1", [](auto& d) -> auto& { return d.settings.links.threshold; },
      [](absl::string_view word) -> absl::StatusOr<double> {
        double confidence = 0;
        if (!absl::SimpleAtod(word, &confidence)) return Bad("is not a number");
        if (!(confidence >= 0 && confidence <= 1)) return Bad("is not between 0 and 1");
        return confidence;
      },
      forms::ShowNumber);
}

// Lower case, each once.
Form LinkTokenHeaders() {
  return {absl::StrCat("names of headers, separated by commas, at most ", kMaxTokenHeaders, " of them"),
          [](absl::string_view word, Draft& draft) {
            auto& headers = draft.settings.links.tokens.headers;
            for (const absl::string_view part : absl::StrSplit(word, ',')) {
              const std::string name = absl::AsciiStrToLower(absl::StripAsciiWhitespace(part));
              if (name.empty()) return Bad("has an empty name");
              if (!std::all_of(name.begin(), name.end(), IsTokenChar)) return Bad("has a name that no header can have");
              if (std::find(headers.begin(), headers.end(), name) != headers.end()) continue;
              if (headers.size() == kMaxTokenHeaders) return Bad("is one too many");
              headers.push_back(name);
            }
            return absl::OkStatus();
          },
          [](const Draft& draft) { return draft.settings.links.tokens.headers; }};
}

Form ResourceAttribute() {
  return {"KEY=VALUE, at most 128 of them",
          [](absl::string_view word, Draft& draft) {
            auto pair = forms::ParsePair(word);
            if (!pair.ok()) return pair.status();
            auto& attributes = draft.settings.resource_attributes;
            const auto same = std::find_if(attributes.begin(), attributes.end(),
                                           [&pair](const auto& other) { return other.first == pair->first; });
            if (same != attributes.end()) attributes.erase(same);  // the last one counts
            if (attributes.size() == kMaxResourceAttributes) return Bad("is one too many");
            attributes.push_back(*std::move(pair));
            return absl::OkStatus();
          },
          [](const Draft& draft) {
            std::vector<std::string> words;
            for (const auto& [key, value] : draft.settings.resource_attributes)
              words.push_back(absl::StrCat(key, "=", value));
            return words;
          }};
}

Form ValueLength() {
  static constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();
  return forms::One(
      absl::StrCat("unlimited, or a whole number, 0 to ", kMaxLimit),
      [](auto& d) -> auto& { return d.settings.exporter.limits.value_characters; },
      [](absl::string_view word) -> absl::StatusOr<uint64_t> {
        return word == "unlimited" ? kUnlimited : forms::ParseCount(word, 0, kMaxLimit);
      },
      [](size_t characters) { return characters == kUnlimited ? std::string("unlimited") : absl::StrCat(characters); });
}

template <typename Field>
Form Limit(Field field) {
  return forms::Count(field, 0, kMaxLimit);
}

}  // namespace

// clang-format off
std::vector<Option> SpanOptions() {
  return {
    {"default-service-name", "NAME", kForSpans, kOnce, standard::Of(standard::kServiceName, standard::Plain),
     "service.name of processes that nobody named (default: service.name of --resource-attribute, else executable:port)",
     forms::Text("a name", [](auto& d) -> auto& { return d.default_service_name; }, forms::AnyText)},
    {"resource-attribute", "KEY=VALUE", kForSpans, kRepeatable, standard::Of(standard::kResourceAttributes, standard::Resource, standard::kResourceForm),
     "attribute of every process's resource; what the process itself says wins", ResourceAttribute()},
    {"sampler", "NAME", kForSpans, kOnce, standard::Of(standard::kSampler, standard::Name),
     "which traces are kept; parentbased_: a decision that came with a request is respected", SamplerForm()},
    {"sample", "PERCENT", kForSpans, kOnce, standard::Of(standard::kSamplerArgument, standard::Ratio, standard::kRatioForm),
     "share of traces that a traceidratio sampler keeps", Sample()},
    {"adopt", "on|off", kForSpans, kOnce, {}, "give what an inferred link connects one trace id",
     forms::OnOff([](auto& d) -> auto& { return d.settings.links.adopt; })},
    {"link-confidence", "P", kForSpans, kOnce, {}, "draw an inferred link only if it is right with at least this probability", LinkConfidence()},
    {"link-tokens", "on|off", kForSpans, kOnce, {}, "let rare values that an incoming and an outgoing request share count for links",
     forms::OnOff([](auto& d) -> auto& { return d.settings.links.tokens.on; })},
    {"link-token-headers", "NAME,...", kForSpans, kRepeatable, {},
     "headers whose values count besides those of path and query, kept as hashes; secret ones only if named (default: none)", LinkTokenHeaders()},
    {"link-candidates", "on|off", kForSpans, kOnce, {}, "what is not sure enough for a parent becomes a span link, with its confidence",
     forms::OnOff([](auto& d) -> auto& { return d.settings.links.candidates; })},
    {"link-memory", "FILE", kForAgent | kForReplay, kOnce, {},
     "keep what is learned about programs for links in FILE across restarts, as hashes and counts (default: none)",
     forms::Text("a file", [](auto& d) -> auto& { return d.settings.link_memory; }, forms::AnyText)},
    {"query-values", "MODE", kForSpans, kOnce, {}, "URL query values in spans: redacted (known secrets) or none",
     forms::OneOf<SpanStyle::QueryValues>([](auto& d) -> auto& { return d.settings.style.query_values; },
                                          {{"redacted", SpanStyle::QueryValues::kRedacted}, {"none", SpanStyle::QueryValues::kNone}}, "such mode")},
    {"attribute-count-limit", "N", kForSpans, kOnce, standard::Of(standard::kAttributes, standard::Plain),
     "most attributes of a span", Limit([](auto& d) -> auto& { return d.settings.exporter.limits.attributes; })},
    {"attribute-value-length-limit", "N", kForSpans, kOnce,
     standard::Of(standard::kValueLength, standard::Plain),
     "longest text of an attribute, in characters", ValueLength()},
    {"event-count-limit", "N", kForSpans, kOnce, standard::Of(standard::kEvents, standard::Plain), "most events of a span",
     Limit([](auto& d) -> auto& { return d.settings.exporter.limits.events; })},
    {"link-count-limit", "N", kForSpans, kOnce, standard::Of(standard::kLinks, standard::Plain), "most links of a span",
     Limit([](auto& d) -> auto& { return d.settings.exporter.limits.links; })},
    {"event-attribute-count-limit", "N", kForSpans, kOnce, standard::Of(standard::kEventAttributes, standard::Plain), "most attributes of an event",
     Limit([](auto& d) -> auto& { return d.settings.exporter.limits.event_attributes; })},
    {"link-attribute-count-limit", "N", kForSpans, kOnce, standard::Of(standard::kLinkAttributes, standard::Plain), "most attributes of a link",
     Limit([](auto& d) -> auto& { return d.settings.exporter.limits.link_attributes; })},
  };
}
// clang-format on

}  // namespace spantap
