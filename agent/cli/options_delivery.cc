// SPDX-License-Identifier: Apache-2.0
//
// Options of what happens between a finished span and its acknowledgement: queue, batches, retries, spool.
#include "agent/cli/forms.h"
#include "agent/cli/option_tables.h"
#include "agent/cli/standard_variables.h"

namespace spantap {
namespace {

constexpr uint64_t kMaxSpans = 10'000'000;
constexpr uint64_t kTera = 1ull << 40;

// --batch-spans is the most that one request holds; a request goes out as soon as 512 wait, or this many if fewer.
Form BatchSpans() {
  return {absl::StrCat("a whole number, 1 to ", kMaxSpans),
          [](absl::string_view word, Draft& draft) {
            const auto spans = forms::ParseCount(word, 1, kMaxSpans);
            if (!spans.ok()) return spans.status();
            BatchSettings& batch = draft.settings.exporter.batch;
            batch.max_spans = *spans;
            batch.target_spans = std::min(BatchSettings().target_spans, batch.max_spans);
            return absl::OkStatus();
          },
          [](const Draft& draft) {
            return std::vector<std::string>{absl::StrCat(draft.settings.exporter.batch.max_spans)};
          }};
}

}  // namespace

// clang-format off
std::vector<Option> DeliveryOptions() {
  return {
    {"queue-spans", "N", kForSpans, kOnce, standard::Of(standard::kQueueSpans, standard::Plain),
     "most spans that wait in memory; more are dropped (queue_full)",
     forms::Count([](auto& d) -> auto& { return d.settings.exporter.queue.max_spans; }, 1, kMaxSpans)},
    {"queue-bytes", "BYTES", kForSpans, kOnce, {}, "most bytes of spans that wait in memory",
     forms::Bytes([](auto& d) -> auto& { return d.settings.exporter.queue.max_bytes; }, 64 << 10, 16ull << 30)},
    {"batch-spans", "N", kForSpans, kOnce, standard::Of(standard::kBatchSpans, standard::Plain),
     "most spans of one request; it is sent as soon as 512 spans wait, or this many if fewer", BatchSpans()},
    {"batch-bytes", "BYTES", kForSpans, kOnce, {}, "most bytes of one request, before compression (collectors refuse more than 4 MiB)",
     forms::Bytes([](auto& d) -> auto& { return d.settings.exporter.batch.max_bytes; }, 16 << 10, 64 << 20)},
    {"batch-delay", "MS", kForSpans, kOnce, standard::Of(standard::kScheduleDelay, standard::Milliseconds, standard::kMillisecondsForm),
     "longest wait of a span for others to be sent with, in milliseconds",
     forms::Time([](auto& d) -> auto& { return d.settings.exporter.batch.max_delay; }, absl::Milliseconds(1), absl::Hours(1))},
    {"retry-initial", "MS", kForSpans, kOnce, {}, "wait before the first retry, in milliseconds, give or take a random part; it grows from there",
     forms::Time([](auto& d) -> auto& { return d.settings.exporter.retry.initial; }, absl::Milliseconds(1), absl::Hours(1))},
    {"retry-max", "MS", kForSpans, kOnce, {}, "longest wait before a retry, in milliseconds, whatever the collector asks for",
     forms::Time([](auto& d) -> auto& { return d.settings.exporter.retry.max; }, absl::Milliseconds(1), absl::Hours(24))},
    {"retry-give-up", "MS", kForSpans, kOnce, standard::Of(standard::kExportTimeout, standard::BatchTimeout, standard::kTimeoutForm),
     "how long a batch is tried, in milliseconds, before it is dropped or, with a spool, put there",
     forms::Time([](auto& d) -> auto& { return d.settings.exporter.retry.give_up; }, absl::ZeroDuration(), standard::kLongestGiveUp)},
    {"drain", "MS", kForSpans, kOnce, {}, "longest time that sending the rest may take at the end, in milliseconds",
     forms::Time([](auto& d) -> auto& { return d.settings.exporter.drain; }, absl::ZeroDuration(), absl::Hours(1))},
    {"spool", "DIR", kForSpans, kOnce, {}, "folder for batches that cannot be sent now; made if its parent exists (default: none)",
     forms::Text("a folder, or a name for one in a folder that exists", [](auto& d) -> auto& { return d.spool_dir; }, forms::AnyText)},
    {"spool-bytes", "BYTES", kForSpans, kOnce, {}, "most bytes of the spool; the oldest batches are given up for new ones",
     forms::Bytes([](auto& d) -> auto& { return d.spool.max_bytes; }, 1 << 20, kTera)},
    {"spool-age", "MS", kForSpans, kOnce, {}, "oldest batch that is kept in the spool, in milliseconds",
     forms::Time([](auto& d) -> auto& { return d.spool.max_age; }, absl::Seconds(1), absl::Hours(24 * 365))},
    {"spool-rate", "BYTES", kForSpans, kOnce, {}, "bytes of the spool that are sent in a second, besides new spans",
     forms::Bytes([](auto& d) -> auto& { return d.settings.exporter.spool_bytes_per_s; }, 1 << 10, kTera)},
  };
}
// clang-format on

}  // namespace spantap
