// SPDX-License-Identifier: Apache-2.0
#include "agent/view/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "agent/view/escape.h"
#include "agent/view/line_writer.h"

namespace spantap {
namespace {

// Alignment gives way beyond this: one long path must not push the others' status off the screen.
constexpr size_t kMaxPaddedCell = 48;
constexpr int kMaxIndent = 32;
constexpr uint8_t kDeep = 10;  // levels from which on each is set in by one column only
constexpr int kMinRequestColumns = 12;
constexpr int kMinColumns = 40;

// The texts of one row, escaped.
struct Cells {
  int indent = 0;
  std::string service;
  std::string request;  // "GET /checkout"
  std::string outcome;
  std::string duration;
  std::string link;  // "proxy 0.99", "wire 1.00 remote"
  std::string wire;  // the trace id that adoption replaced
};

Cells MakeCells(const Row& row, int step) {
  const LinkedExchange& linked = *row.linked;
  Cells cells;
  cells.indent = std::min(2 + step * row.depth, kMaxIndent);
  AppendEscaped(row.service, 64, &cells.service);
  AppendEscaped(linked.exchange->request.method, 32, &cells.request);
  cells.request.push_back(' ');
  AppendEscaped(row.path, kMaxCellBytes, &cells.request);
  cells.outcome = Outcome(*linked.exchange);
  cells.duration = FormatDuration(row.end_mono_ns - row.start_mono_ns);
  if (linked.rule != LinkRule::kNone) {
    char confidence[32];
    snprintf(confidence, sizeof(confidence), " %s%.2f", linked.confidence.at_least ? ">=" : "", linked.confidence.value);
    cells.link = absl::StrCat(LinkRuleName(linked.rule), confidence, linked.parent_is_remote ? " remote" : "");
  }
  if (linked.wire_trace_id.valid()) cells.wire = absl::StrCat("was ", FormatHex(linked.wire_trace_id));
  return cells;
}

absl::string_view Kind(const Row& row) { return row.linked->exchange->role == Role::kServer ? "SERVER" : "CLIENT"; }

struct Widths {
  int service = 0;
  int request = 0;
  int outcome = 0;
  int duration = 0;
  int link = 0;
  int bar = 0;
};

Widths Measure(const std::vector<Cells>& rows) {
  Widths widths;
  const auto grow = [](int* width, size_t size) {
    *width = std::max(*width, static_cast<int>(std::min(size, kMaxPaddedCell)));
  };
  for (const Cells& cells : rows) {
    grow(&widths.service, static_cast<size_t>(cells.indent) + cells.service.size());
    grow(&widths.request, cells.request.size());
    grow(&widths.outcome, cells.outcome.size());
    grow(&widths.duration, cells.duration.size());
    grow(&widths.link, cells.link.size());
  }
  return widths;
}

// Gives the terminal's columns away: the request shrinks first, then the bar goes.
void FitTerminal(int columns, Widths* widths) {
  widths->service = std::min(widths->service, columns / 3);
  widths->bar = columns >= 120 ? 20 : columns >= 80 ? 10 : 0;
  const auto rest = [&] {
    const int others = widths->service + widths->outcome + widths->duration + widths->link;
    return columns - others - 6 /* kind */ - 6 /* spaces between */ - (widths->bar > 0 ? widths->bar + 1 : 0);
  };
  if (rest() < std::min(widths->request, kMinRequestColumns)) widths->bar = 0;
  widths->request = std::max(kMinRequestColumns, std::min(widths->request, rest()));
}

// At least one block, within the trace's interval. Intervals of zero length fill the bar.
void AppendBar(const Trace& trace, const Row& row, int width, LineWriter* line) {
  const double total = static_cast<double>(trace.end_mono_ns - trace.start_mono_ns);
  const double scale = total > 0 ? width / total : 0;
  const int from =
      std::clamp(static_cast<int>(scale * static_cast<double>(row.start_mono_ns - trace.start_mono_ns)), 0, width - 1);
  int to = static_cast<int>(std::lround(scale * static_cast<double>(row.end_mono_ns - trace.start_mono_ns)));
  to = total > 0 ? std::clamp(to, from + 1, width) : width;
  for (int i = 0; i < width; ++i) line->Glyph(i < from ? "·" : i < to ? "█" : " ");
}

void AppendHeader(const Trace& trace, LineWriter* line) {
  const size_t spans = trace.rows.size();
  line->Text("trace ");
  line->Colour(LineWriter::kBold);
  line->Text(FormatHex(trace.id));
  line->Colour(LineWriter::kPlain);
  line->Text(absl::StrCat("  ", spans, spans == 1 ? " span  " : " spans  ",
                          FormatDuration(trace.end_mono_ns - trace.start_mono_ns), "  "));
  line->Colour(trace.rows[0].failed ? LineWriter::kRed : LineWriter::kGreen);
  line->Text(Outcome(*trace.rows[0].linked->exchange));
  line->End();
}

void AppendRow(const Trace& trace, const Row& row, const Cells& cells, const Widths& widths, LineWriter* line) {
  line->Pad(cells.indent - 2);
  if (line->terminal()) {
    line->Colour(LineWriter::kDim);
    line->Glyph("└");
    line->Colour(LineWriter::kPlain);
  }
  line->Pad(cells.indent);
  line->Cell(cells.service, widths.service);
  line->Text(Kind(row));
  line->Text(" ");
  line->Cell(cells.request, line->used() + widths.request);
  line->Colour(row.failed ? LineWriter::kRed : LineWriter::kPlain);
  line->Cell(cells.outcome, line->used() + widths.outcome);
  line->Colour(LineWriter::kPlain);
  line->Pad(line->used() + widths.duration - static_cast<int>(cells.duration.size()));
  line->Text(cells.duration);
  if (widths.bar > 0) {
    line->Text(" ");
    line->Colour(row.failed ? LineWriter::kRed : LineWriter::kCyan);
    AppendBar(trace, row, widths.bar, line);
    line->Colour(LineWriter::kPlain);
  }
  if (!cells.link.empty()) line->Text("  ");
  line->Text(cells.link);
}

// Behind the row where there is room, else on a line of its own: an id that is cut finds nothing.
void AppendWire(const Cells& cells, LineWriter* line) {
  if (cells.wire.empty()) return;
  if (!line->Fits(2 + cells.wire.size())) {
    line->End();
    line->Pad(cells.indent);
  } else {
    line->Text("  ");
  }
  line->Colour(LineWriter::kDim);
  line->Text(cells.wire);
}

void AppendTrace(const Trace& trace, int columns, std::string* out) {
  std::vector<Cells> rows;
  rows.reserve(trace.rows.size());
  const bool deep =
      std::any_of(trace.rows.begin(), trace.rows.end(), [](const Row& row) { return row.depth >= kDeep; });
  for (const Row& row : trace.rows) rows.push_back(MakeCells(row, deep ? 1 : 2));
  Widths widths = Measure(rows);
  if (columns > 0) FitTerminal(columns, &widths);
  LineWriter line(columns, out);
  AppendHeader(trace, &line);
  for (size_t i = 0; i < rows.size(); ++i) {
    AppendRow(trace, trace.rows[i], rows[i], widths, &line);
    AppendWire(rows[i], &line);
    line.End();
  }
}

}  // namespace

std::string FormatDuration(uint64_t ns) {
  char text[32];
  const double ms = static_cast<double>(ns) / 1e6;
  if (ms >= 10'000) {
    snprintf(text, sizeof(text), "%.1f s", ms / 1000);
  } else {
    snprintf(text, sizeof(text), "%.*f ms", ms < 10 ? 2 : ms < 100 ? 1 : 0, ms);
  }
  return text;
}

void AppendPlain(const Trace& trace, std::string* out) { AppendTrace(trace, 0, out); }

void AppendTerminal(const Trace& trace, int columns, std::string* out) {
  AppendTrace(trace, std::max(columns, kMinColumns), out);
}

}  // namespace spantap
