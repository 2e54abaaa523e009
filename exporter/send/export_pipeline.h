// SPDX-License-Identifier: Apache-2.0
//
// Everything behind the queue, made and ended as one: batcher and sender with their threads, the inbox between them
// and the spool beside them. Used by exporter.cc.
//
// Start(), Stop() and the destructor on one thread; RequestStop() from any and from signal handlers. The threads hold
// the pipeline too: one that hangs in a disk or a transport at the end is left behind with it, and with nothing of
// the caller's (accounts.h).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "exporter/send/accounts.h"
#include "exporter/send/batcher.h"
#include "exporter/send/exporter.h"
#include "exporter/send/inbox.h"
#include "exporter/send/overflow.h"
#include "exporter/send/sender.h"
#include "exporter/send/span_queue.h"
#include "exporter/send/stop_state.h"
#include "exporter/send/wakeup.h"

namespace spantap {

class ExportPipeline : public std::enable_shared_from_this<ExportPipeline> {
 public:
  // `spool` may be nullptr. `queue` and `accounts` are shared because threads may outlive the exporter.
  ExportPipeline(const ExporterSettings& settings, std::shared_ptr<SpanQueue> queue, std::shared_ptr<Accounts> accounts,
                 std::vector<std::unique_ptr<Transport>> transports, std::unique_ptr<Spool> spool);

  void Start();
  void RequestStop();
  // The drain begins: what is sent from here on has no more time than is left of it.
  void BeginStop();
  // Returns within the drain, or within 100 ms if that is longer.
  void Stop();
  ExporterStatus status() const;

 private:
  using Part = void (ExportPipeline::*)();
  bool StartThread(const char* name, Part part);
  void RunBatcher() { batcher_.Run(); }
  void RunSender() { sender_.Run(); }
  void WakeAll();
  void AwaitThreads(uint64_t give_up_ns);
  void LeaveThreads();

  const ExporterSettings settings_;
  const std::shared_ptr<SpanQueue> queue_;
  const std::shared_ptr<Accounts> accounts_;
  StopState stop_;
  Wakeup sender_wakeup_;
  // Of the threads that hold this pipeline. They let go of it first and then count themselves out here, so that the
  // spool's lock is free when Stop() has seen them end.
  struct Threads {
    std::atomic<int> running{0};
    Wakeup ended;
  };
  const std::shared_ptr<Threads> threads_ = std::make_shared<Threads>();
  std::vector<std::thread> handles_;  // until Stop(), which takes them back or leaves them behind
  const std::unique_ptr<Overflow> overflow_;
  Inbox inbox_;
  Sender sender_;
  Batcher batcher_;
};

}  // namespace spantap
