// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.0 and 1.1, one direction of one connection.
//
//   state      | bytes                                   | missing bytes
//   -----------+-----------------------------------------+-------------------------------------------
//   kSeek      | a head at a call's start -> kHead       | heads may be among them: lost, or no matter
//   kIdle      | a head -> kHead                         | lost -> kSeek
//   kHead      | head complete -> by framing, below      | head cut: reported as far as it goes -> kSeek
//   kLength    | counted down -> kIdle                   | counted down; past the end: lost -> kSeek
//   kChunked   | walked -> kIdle                         | inside a chunk: counted; else -> kSeek
//   kUntilEnd  | counted                                 | counted
//   kOver      | ignored (opaque, or the direction ended)
//
// kSeek with `open_` set is a message whose end is hidden: the body goes on until the next head.
// Implements Parser; made by registry.cc. One thread. Memory: see Http1Reader.
#pragma once

#include <memory>

#include "absl/strings/string_view.h"
#include "agent/protocols/http1_reader.h"
#include "agent/protocols/parser.h"

namespace spantap {

class Http1Parser final : public Parser {
 public:
  Http1Parser(bool requests, bool joined, ParserSink& sink, MessageContext& context)
      : requests_(requests), sink_(sink), context_(context), state_(joined ? State::kSeek : State::kIdle) {}

  void Feed(const PieceInfo& info, absl::string_view bytes) override;
  void Skip(uint64_t position, uint64_t count, bool within_call) override;
  void End(bool reset) override;
  uint64_t BoringUntil() const override;
  bool EndHidden(uint64_t* body_bytes) const override;

 private:
  enum class State : uint8_t { kSeek, kIdle, kHead, kLength, kChunked, kUntilEnd, kOver };

  // One step of Feed(): returns the number of bytes used, or 0 after a change of state.
  size_t Step(absl::string_view bytes);
  size_t Seek(absl::string_view bytes);
  size_t Idle(absl::string_view bytes);
  size_t Head(absl::string_view bytes);
  bool MethodRestarts(absl::string_view bytes) const;
  size_t Length(absl::string_view bytes);
  size_t Chunks(absl::string_view bytes);
  void BeginHead(bool resumed);
  void HeadDone(uint64_t end);
  bool HeadCut(bool within_call);
  void ReportHead(HttpHead head);
  void StartBody(MessageContext::Request request, uint16_t status, uint64_t end);
  void SkipHidden(bool within_call);
  void EndMessage(uint64_t end, BodyEnd how);
  void Hide();
  void Lose(LossReason reason);
  void Opaque(const char* reason);
  void GuessEnd(absl::string_view bytes, uint64_t end);

  const bool requests_;
  ParserSink& sink_;
  MessageContext& context_;
  Http1Reader reader_;
  State state_;
  bool at_call_start_ = false;
  bool open_ = false;       // kSeek, kHead: a message is open whose end is hidden
  bool guessed_ = false;    // kSeek: it was ended by a guess; the bytes may still be its body
  bool tentative_ = false;  // kHead: found by seeking, may turn out to be none
  bool tunnel_ = false;     // kIdle: after CONNECT or Upgrade, a refusal is still possible
  uint64_t position_ = 0;   // of the next byte
  uint64_t begin_ = 0;      // kHead: the head's first byte
  uint64_t left_ = 0;       // kLength: bytes of body to come
  uint64_t body_ = 0;
};

std::unique_ptr<Parser> MakeHttp1Parser(bool requests, bool joined, ParserSink& sink, MessageContext& context);

}  // namespace spantap
