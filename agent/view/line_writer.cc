// SPDX-License-Identifier: Apache-2.0
#include "agent/view/line_writer.h"

#include <algorithm>

namespace spantap {

void LineWriter::Text(absl::string_view escaped) {
  if (terminal()) escaped = escaped.substr(0, static_cast<size_t>(std::max(0, columns_ - used_)));
  out_->append(escaped.data(), escaped.size());
  used_ += static_cast<int>(escaped.size());
}

void LineWriter::Glyph(const char* one_column) {
  if (!Fits(1)) return;
  out_->append(one_column);
  ++used_;
}

void LineWriter::Pad(int to_column) {
  if (terminal()) to_column = std::min(to_column, columns_);
  if (to_column <= used_) return;
  out_->append(static_cast<size_t>(to_column - used_), ' ');
  used_ = to_column;
}

void LineWriter::Cell(absl::string_view escaped, int end) {
  const int room = std::max(1, end - used_);
  if (terminal() && static_cast<int>(escaped.size()) > room) {
    Text(escaped.substr(0, static_cast<size_t>(room - 1)));
    Glyph("…");
  } else {
    Text(escaped);
    Pad(end);
  }
  Text(" ");
}

void LineWriter::Colour(absl::string_view code) {
  if (!terminal()) return;
  if (code == kPlain && !coloured_) return;
  out_->append(code.data(), code.size());
  coloured_ = code != kPlain;
}

void LineWriter::End() {
  Colour(kPlain);
  while (!out_->empty() && out_->back() == ' ') out_->pop_back();
  out_->push_back('\n');
  used_ = 0;
}

}  // namespace spantap
