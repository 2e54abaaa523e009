// SPDX-License-Identifier: Apache-2.0
#include "agent/cause/image_bytes.h"

#include <cstring>

#include "agent/cause/program.h"
#include "exporter/intake/byte_cursor.h"

namespace spantap {
namespace {

constexpr float kMostCounted = 1e9f;
constexpr size_t kMaxNext = kMaxLabels + 1;

template <typename T>
void Put(std::string& out, const T& value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));  // little-endian on every target of this program
  out.append(bytes, sizeof(T));
}
void PutByte(std::string& out, size_t value) { out.push_back(static_cast<char>(value)); }
void PutShort(std::string& out, size_t value) { Put(out, static_cast<uint16_t>(value)); }

void Encode(const StateImage& state, std::string& out) {
  Put(out, state.bag[0]);
  Put(out, state.bag[1]);
  PutByte(out, state.outstanding);
  PutByte(out, state.next.size());
  for (const auto& [label, seen] : state.next) {
    PutByte(out, label);
    Put(out, seen);
  }
}

void Encode(const ContextImage& context, std::string& out) {
  PutByte(out, static_cast<size_t>(context.last));
  PutByte(out, context.last_label);
  PutByte(out, context.next);
  PutByte(out, context.dialled);
  Put(out, context.seen);
  Put(out, context.immediate);
  for (const float n : context.hops) Put(out, n);
  for (const float n : context.gaps) Put(out, n);
}

void Encode(const TokenUseImage& use, std::string& out) {
  PutByte(out, use.label);
  Put(out, use.with);
  Put(out, use.same);
}

class Decoder {
 public:
  explicit Decoder(absl::string_view bytes) : cursor_(bytes) {}

  bool Read(LearnedImage& image) {
    uint8_t calls = 0, routes = 0;
    if (!cursor_.Read(&calls) || calls > kOtherLabel) return false;
    calls_ = calls;
    image.calls.resize(calls);
    for (uint64_t& call : image.calls) {
      if (!cursor_.Read(&call)) return false;
    }
    if (!cursor_.Read(&routes) || routes > LearnedImage::kMaxRoutes) return false;
    image.routes.resize(routes);
    for (RouteImage& route : image.routes) {
      if (!Read(route)) return false;
    }
    return cursor_.left() == 0 && states_ <= LearnedImage::kMaxStates && contexts_ <= LearnedImage::kMaxContexts &&
           uses_ <= LearnedImage::kMaxTokenUses;
  }

 private:
  bool Read(RouteImage& route) {
    uint16_t states = 0, contexts = 0;
    uint8_t uses = 0;
    if (!cursor_.Read(&route.route) || !cursor_.Read(&states) || !cursor_.Read(&contexts) || !cursor_.Read(&uses)) {
      return false;
    }
    states_ += states, contexts_ += contexts, uses_ += uses;
    return ReadAll(route.states, states) && ReadAll(route.contexts, contexts) && ReadAll(route.token_uses, uses);
  }

  // One by one: what is not there takes no memory.
  template <typename T>
  bool ReadAll(std::vector<T>& all, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      if (!Read(all.emplace_back())) return false;
    }
    return true;
  }

  bool Read(StateImage& state) {
    uint8_t outstanding = 0, next = 0;
    if (!cursor_.Read(&state.bag[0]) || !cursor_.Read(&state.bag[1]) || !cursor_.Read(&outstanding) ||
        !cursor_.Read(&next) || outstanding > 1 || next > kMaxNext || Bag::Of(state.bag).words() != state.bag) {
      return false;
    }
    state.outstanding = outstanding == 1;
    const Bag bag = Bag::Of(state.bag);
    for (Label label = calls_; label < kOtherLabel; ++label) {
      if (bag.count(label) > 0) return false;
    }
    for (size_t i = 0; i < next; ++i) {
      auto& [label, seen] = state.next.emplace_back();
      if (!ReadLabel(label) || !ReadCount(seen)) return false;
    }
    return true;
  }

  bool Read(ContextImage& context) {
    uint8_t last = 0;
    if (!cursor_.Read(&last) || last > static_cast<uint8_t>(Last::kAnswer)) return false;
    context.last = static_cast<Last>(last);
    if (context.last == Last::kRequest) {  // of no call
      if (!cursor_.Read(&context.last_label) || context.last_label != 0) return false;
    } else if (!ReadLabel(context.last_label) || context.last_label == kReply) {
      return false;
    }
    uint8_t dialled = 0;
    if (!ReadLabel(context.next) || !cursor_.Read(&dialled) || dialled > 1) return false;
    context.dialled = dialled == 1;
    if (!ReadCount(context.seen) || !ReadCount(context.immediate) || context.immediate > context.seen) return false;
    for (float& n : context.hops) {
      if (!ReadCount(n)) return false;
    }
    for (float& n : context.gaps) {
      if (!ReadCount(n)) return false;
    }
    return true;
  }

  bool Read(TokenUseImage& use) {
    return ReadLabel(use.label) && use.label != kReply && ReadCount(use.with) && ReadCount(use.same) &&
           use.same <= use.with;
  }

  bool ReadLabel(Label& label) {
    return cursor_.Read(&label) && (label < calls_ || label == kOtherLabel || label == kReply);
  }
  bool ReadCount(float& count) { return cursor_.Read(&count) && count >= 0 && count <= kMostCounted; }

  ByteCursor cursor_;
  Label calls_ = 0;
  size_t states_ = 0, contexts_ = 0, uses_ = 0;
};

}  // namespace

std::string EncodeImage(const LearnedImage& image) {
  std::string out;
  PutByte(out, image.calls.size());
  for (const uint64_t call : image.calls) Put(out, call);
  PutByte(out, image.routes.size());
  for (const RouteImage& route : image.routes) {
    Put(out, route.route);
    PutShort(out, route.states.size());
    PutShort(out, route.contexts.size());
    PutByte(out, route.token_uses.size());
    for (const StateImage& state : route.states) Encode(state, out);
    for (const ContextImage& context : route.contexts) Encode(context, out);
    for (const TokenUseImage& use : route.token_uses) Encode(use, out);
  }
  return out;
}

std::optional<LearnedImage> DecodeImage(absl::string_view bytes) {
  LearnedImage image;
  if (!Decoder(bytes).Read(image)) return std::nullopt;
  return image;
}

}  // namespace spantap
