// SPDX-License-Identifier: Apache-2.0
//
// FastCGI 1.0, one direction of one connection: records walked by their lengths, one request at a time.
//
//   state     | bytes                                       | missing bytes
//   ----------+---------------------------------------------+------------------------------------------
//   kSeek     | a message's first record at a call's start  | heads may be among them: lost, or no matter
//   kHeader   | eight bytes of a record's header            | head cut, end hidden, or lost -> kSeek
//   kContent  | the record's content, then its padding      | inside the record: counted, a head there is cut;
//             |                                             | beyond it: as in kHeader
//   kOver     | ignored (multiplexed, or the direction ended)
//
// A request's head is complete at its empty PARAMS, its body by CONTENT_LENGTH or at its empty STDIN; an answer's
// head at the empty line in its STDOUT, its body at END_REQUEST. kSeek with `open_` set is a message whose end is
// hidden: found at a call that ends in the record that ends it, else the body goes on until the next head.
// Two requests that are sent at the same time make the connection opaque; answers are told apart by
// HttpHead::stream. Implements Parser; made by registry.cc. One thread. Memory: kMaxHeadBytes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "agent/protocols/fastcgi_record.h"
#include "agent/protocols/parser.h"

namespace spantap {

class FastCgiParser final : public Parser {
 public:
  FastCgiParser(bool requests, bool joined, ParserSink& sink, MessageContext& context)
      : requests_(requests), sink_(sink), context_(context), state_(joined ? State::kSeek : State::kHeader) {}

  void Feed(const PieceInfo& info, absl::string_view bytes) override;
  void Skip(uint64_t position, uint64_t count, bool within_call) override;
  void End(bool reset) override;
  uint64_t BoringUntil() const override;
  bool EndHidden(uint64_t* body_bytes) const override;

 private:
  enum class State : uint8_t { kSeek, kHeader, kContent, kOver };
  enum class Part : uint8_t { kNone, kHead, kBody };  // of the message that the records belong to

  // One step of Feed(): returns the number of bytes used, or 0 after a change of state.
  size_t Step(absl::string_view bytes);
  size_t Seek(absl::string_view bytes);
  size_t Header(absl::string_view bytes);
  size_t Content(absl::string_view bytes);
  bool MayResume(absl::string_view bytes);
  void BeginRecord();
  void BeginRequestRecord();
  void BeginResponseRecord();
  void NextRequest();
  void BeginMessage();
  bool SameMessage();
  void TakeContent(absl::string_view bytes);
  void TakeAnswer(absl::string_view bytes);
  void TakeBody(size_t count);
  void EndRecord();
  void SkipContent(uint64_t count, bool within_call);
  void RequestHeadDone();
  void ReportHead(HttpHead head);
  bool HeadCut(bool within_call);
  void LoseTrack(bool within_call);
  void SkipHidden(bool within_call);
  void EndMessage(BodyEnd how);
  void GuessEnd();
  void Invalid() { Fail(LossReason::kInvalid); }
  void Fail(LossReason reason);
  void Lose(LossReason reason);
  void Opaque();
  bool HoldsHead() const { return record_.type == (requests_ ? FastCgiRecord::kParams : FastCgiRecord::kStdout); }
  bool HoldsBody() const { return record_.type == (requests_ ? FastCgiRecord::kStdin : FastCgiRecord::kStdout); }

  const bool requests_;
  ParserSink& sink_;
  MessageContext& context_;
  State state_;
  Part part_ = Part::kNone;
  bool at_call_start_ = false;
  bool open_ = false;       // a message is open whose end is hidden
  bool tentative_ = false;  // what was found by seeking may turn out to be none
  bool fresh_ = true;       // kSeek: nothing of the direction has been seen
  bool cut_ = false;        // a part of the head, or of what is known of the body, is missing
  uint16_t id_ = 0;
  uint64_t position_ = 0;  // of the next byte
  uint64_t begin_ = 0;     // of the message, or of the record that may begin one
  uint64_t body_ = 0;
  std::optional<uint64_t> length_;  // of the body, where the head says it
  char header_[FastCgiRecord::kHeaderBytes];
  size_t header_bytes_ = 0;
  FastCgiRecord record_;
  uint32_t content_left_ = 0;
  uint32_t padding_left_ = 0;
  std::string text_;  // the head so far
  static constexpr size_t kTailBytes = FastCgiRecord::kHeaderBytes + FastCgiRecord::kFixedBody;
  std::string tail_;  // kSeek: the last bytes without a gap
};

std::unique_ptr<Parser> MakeFastCgiParser(bool requests, bool joined, ParserSink& sink, MessageContext& context);

}  // namespace spantap
