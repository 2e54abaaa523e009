// SPDX-License-Identifier: Apache-2.0
//
// Records of FastCGI 1.0: the eight bytes before each, and what first bytes look like. A connection
// carries requests (BEGIN_REQUEST, PARAMS.., STDIN..) one way and answers (STDOUT.., END_REQUEST) the other.
//
// Used by the registry and by FastCgiParser. Pure functions, no memory, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "agent/protocols/parser.h"

namespace spantap {

struct FastCgiRecord {
  enum Type : uint8_t {
    kBeginRequest = 1,
    kAbortRequest = 2,
    kEndRequest = 3,
    kParams = 4,
    kStdin = 5,
    kStdout = 6,
    kStderr = 7,
    kData = 8,
    kGetValues = 9,
    kGetValuesResult = 10,
    kUnknownType = 11,
  };
  static constexpr size_t kHeaderBytes = 8;
  static constexpr uint16_t kFixedBody = 8;  // of BEGIN_REQUEST and END_REQUEST

  uint8_t version = 0;
  uint8_t type = 0;
  uint16_t id = 0;
  uint16_t content = 0;
  uint8_t padding = 0;
  uint8_t reserved = 0;
};

// `header` has kHeaderBytes bytes.
FastCgiRecord ReadFastCgiRecord(const char* header);

// The first bytes of a stream, or (`resumed`) of a call: then a whole header is wanted, and never kNeedMore.
Verdict InferFastCgi(absl::string_view bytes, bool resumed);
// The same where a request is known to wait for its answer: the header alone may be believed.
bool MayBeginFastCgiAnswer(absl::string_view bytes);
// A whole header of a record that may begin a message, whatever is in it.
bool LooksLikeFastCgiMessage(absl::string_view bytes, bool request);
// The bytes end in the record that ends an answer (request: in its empty STDIN), and whose it is.
bool EndsFastCgiMessage(absl::string_view bytes, bool request, uint16_t* id);

}  // namespace spantap
