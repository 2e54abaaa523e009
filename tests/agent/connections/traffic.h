// SPDX-License-Identifier: Apache-2.0
//
// Random keep-alive and pipelined traffic of one connection, with unique ids: request N asks for /N,
// its response says x-id: N and a status derived from N. As a capture sees it: heads copied up to a
// cap, of other calls only the ends. Used by the pairing tests; the truth is the id.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/protocols/http1_infer.h"
#include "tests/fakes/event_builder.h"

namespace spantap {

inline int StatusOf(int id) { return 200 + id * 7 % 300; }

struct TrafficOptions {
  int requests = 30;
  bool client = false;       // seen from the client's side
  bool pipelined = false;    // bursts of requests, each burst answered before the next
  int window = 0;            // if > 0: that many requests ahead at all times
  bool deceptive = true;     // bodies contain what looks like heads
  bool whole_calls = false;  // body calls are copied whole
  bool from_start = true;
  bool open = true;
  bool close = true;
  uint64_t step_ns = 1000;  // between records
};

class RandomTraffic {
 public:
  RandomTraffic(uint32_t seed, const TrafficOptions& options) : options_(options), random_(seed) {
    events.Step(options_.step_ns);
    if (options_.open) {
      events.Open(1, {.from_start = options_.from_start});
    } else {
      events.position(1, false) = 77;
      events.position(1, true) = 99;
    }
    options_.window > 0 ? SendWindow() : SendBursts();
    if (options_.close) events.Closed(1);
  }

  EventBuilder events;
  int sent = 0;
  std::vector<std::string> methods{""};  // by id

 private:
  struct Message {
    std::vector<std::string> calls;
  };

  // Bursts of requests (of one, unless pipelined), each answered before the next.
  void SendBursts() {
    for (int id = 1; id <= options_.requests;) {
      const int burst = options_.pipelined ? 1 + Pick(4) : 1;
      const int first = id;
      std::string together;
      for (; id < first + burst; ++id) {
        const Message request = Request(id);
        if (burst > 1 && request.calls.size() == 1 && together.size() < 1500 && Pick(2) == 0) {
          together += request.calls[0];  // several in one call
          continue;
        }
        if (!together.empty()) Emit(true, {together});
        together.clear();
        Emit(true, request.calls);
      }
      if (!together.empty()) Emit(true, {together});
      for (int n = first; n < id; ++n) Emit(false, Response(n).calls);
      sent = id - 1;
    }
  }

  // Always the same number of requests ahead.
  void SendWindow() {
    for (int id = 1; id <= options_.window; ++id) Emit(true, Request(id).calls);
    for (int id = 1; id <= options_.requests; ++id) {
      Emit(false, Response(id).calls);
      const int next = id + options_.window;
      if (next <= options_.requests) Emit(true, Request(next).calls);
    }
    sent = options_.requests;
  }

  int Pick(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

  std::string Body(size_t size) {
    std::string body;
    while (body.size() < size) {
      switch (options_.deceptive ? Pick(6) : 5) {
        case 0:
          body += "GET /666 HTTP/1.1\r\n\r\n";
          break;
        case 1:
          body += "HTTP/1.1 299 Evil\r\nx-id: 666\r\ncontent-length: 0\r\n\r\n";
          break;
        case 2:
          body += "0\r\n\r\n";
          break;
        default:
          body += std::string(static_cast<size_t>(1 + Pick(60)), static_cast<char>('a' + Pick(26)));
      }
    }
    return body.substr(0, size);
  }

  // The body's framing header, and the body cut into calls.
  std::string AddBody(std::vector<std::string>* calls) {
    const size_t size = Pick(3) == 0 ? static_cast<size_t>(Pick(6000)) : static_cast<size_t>(Pick(200));
    const std::string body = Body(size);
    std::string wire;
    const bool chunked = Pick(2) == 0;
    if (chunked) {
      for (size_t at = 0; at < body.size();) {
        const size_t chunk = std::min<size_t>(body.size() - at, static_cast<size_t>(1 + Pick(2000)));
        absl::StrAppend(&wire, absl::Hex(chunk), "\r\n", body.substr(at, chunk), "\r\n");
        at += chunk;
      }
      wire += "0\r\n\r\n";
    } else {
      wire = body;
    }
    for (size_t at = 0; at < wire.size();) {
      const size_t call = std::min<size_t>(wire.size() - at, static_cast<size_t>(1 + Pick(3000)));
      calls->push_back(wire.substr(at, call));
      at += call;
    }
    return chunked ? "transfer-encoding: chunked\r\n" : absl::StrCat("Content-Length: ", size, "\r\n");
  }

  static Message Join(const std::string& head, std::vector<std::string> body_calls, bool together) {
    Message message;
    message.calls.push_back(head);
    for (std::string& call : body_calls) {
      if (together) {
        message.calls[0] += call;
        together = false;
      } else {
        message.calls.push_back(std::move(call));
      }
    }
    return message;
  }

  Message Request(int id) {
    static const char* const kMethods[] = {"GET", "GET", "GET", "HEAD", "POST", "PUT", "BREW"};
    const std::string method = kMethods[Pick(7)];
    methods.push_back(method);
    std::vector<std::string> body;
    std::string framing;
    if (method == "POST" || method == "PUT") framing = AddBody(&body);
    const std::string head = absl::StrCat(method, " /", id, " HTTP/1.1\r\nhost: test\r\n", framing,
                                          "cookie: ", std::string(static_cast<size_t>(Pick(100)), 'c'), "\r\n\r\n");
    return Join(head, std::move(body), Pick(2) == 0);
  }

  Message Response(int id) {
    const int status = StatusOf(id);
    std::vector<std::string> body;
    std::string framing;
    if (methods[static_cast<size_t>(id)] == "HEAD") {
      framing = "content-length: 1234\r\n";
    } else if (status != 204 && status != 304) {
      framing = AddBody(&body);
    }
    std::string head = Pick(8) == 0 ? "HTTP/1.1 100 Continue\r\n\r\n" : "";
    absl::StrAppend(&head, "HTTP/1.1 ", status, " Text\r\n", framing, "x-id: ", id, "\r\n\r\n");
    return Join(head, std::move(body), Pick(2) == 0);
  }

  void Emit(bool request, const std::vector<std::string>& calls) {
    const bool write = request == options_.client;
    for (const std::string& call : calls) {
      const Verdict verdict = InferHttp1(call);
      const bool head = verdict == Verdict::kRequest || verdict == Verdict::kResponse;
      events.BodyCall(1, write, call, head || options_.whole_calls ? SPANTAP_HEAD_BYTES : SPANTAP_BODY_FIRST);
    }
  }

  const TrafficOptions options_;
  std::mt19937 random_;
};

}  // namespace spantap
