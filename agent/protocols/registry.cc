// SPDX-License-Identifier: Apache-2.0
//
// The one list of protocols.
#include "agent/protocols/fastcgi.h"
#include "agent/protocols/fastcgi_record.h"
#include "agent/protocols/http1.h"
#include "agent/protocols/http1_infer.h"
#include "agent/protocols/parser.h"

namespace spantap {
namespace {

Verdict InferHttp1Bytes(absl::string_view bytes, bool resumed) {
  return resumed ? InferResumedHttp1(bytes) : InferHttp1(bytes);
}

constexpr WireProtocol kProtocols[] = {
    {"http/1", InferHttp1Bytes, MakeHttp1Parser},
    {"fastcgi", InferFastCgi, MakeFastCgiParser},
};

}  // namespace

absl::string_view ProtocolNames() { return "http/1,fastcgi"; }

const WireProtocol* InferProtocol(absl::string_view bytes, bool resumed, Verdict* verdict) {
  *verdict = Verdict::kNo;
  for (const WireProtocol& protocol : kProtocols) {
    const Verdict answer = protocol.infer(bytes, resumed);
    if (answer == Verdict::kRequest || answer == Verdict::kResponse) {
      *verdict = answer;
      return &protocol;
    }
    if (answer == Verdict::kNeedMore) *verdict = Verdict::kNeedMore;
  }
  return nullptr;
}

const char* ForeignProtocol(absl::string_view bytes) {
  if (LooksLikeTls(bytes)) return "tls";
  if (LooksLikeHttp2(bytes)) return "http/2";
  return nullptr;
}

}  // namespace spantap
