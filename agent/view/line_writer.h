// SPDX-License-Identifier: Apache-2.0
//
// Lines of known width: counts columns, clips at the terminal's edge, and adds colours only for a
// terminal. Text given to it must be escaped already (one byte, one column).
//
// Used by text.cc, within one call.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace spantap {

class LineWriter {
 public:
  static constexpr absl::string_view kPlain = "\x1b[0m";
  static constexpr absl::string_view kBold = "\x1b[1m";
  static constexpr absl::string_view kDim = "\x1b[2m";
  static constexpr absl::string_view kRed = "\x1b[31m";
  static constexpr absl::string_view kGreen = "\x1b[32m";
  static constexpr absl::string_view kCyan = "\x1b[36m";

  // `columns` 0: not a terminal; nothing is clipped, no colours.
  LineWriter(int columns, std::string* out) : columns_(columns), out_(out) {}

  bool terminal() const { return columns_ > 0; }
  int used() const { return used_; }
  bool Fits(size_t more) const { return !terminal() || used_ + static_cast<int>(more) <= columns_; }

  void Text(absl::string_view escaped);
  void Glyph(const char* one_column);
  void Pad(int to_column);  // spaces up to that column, if it is not reached yet
  // Text up to column `end`, then one space. On a terminal what is longer ends in "…"; in a pipe it
  // runs over and shifts the rest of its line.
  void Cell(absl::string_view escaped, int end);
  void Colour(absl::string_view code);
  void End();  // newline, without trailing spaces

 private:
  const int columns_;
  std::string* const out_;
  int used_ = 0;
  bool coloured_ = false;
};

}  // namespace spantap
