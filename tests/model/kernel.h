// SPDX-License-Identifier: Apache-2.0
//
// The system calls of exporter/handoff/attach.c, as the hand-off needs them: a socket that agents listen at,
// connections with two ends, memory that is passed. Each that the other side can see is one step, and orders threads as
// a kernel's lock does. Answers come at once: what waiting does to an attempt is in tests/exporter/handoff.
#pragma once

#include "tests/model/memory.h"

namespace spantap::model {

class Kernel {
 public:
  void Reset();

  // ---- an agent's calls; each is a step
  void Listen();
  void StopListening();
  // The rings that are its own and not closed yet (bits), and those whose producer has gone.
  struct Rings {
    unsigned attached = 0, ended = 0;
  };
  Rings Look();
  void Close(int ring);
  // The end of a process, whose descriptors the kernel closes.
  void AgentDied(int thread);
  void ProducerDied();

  bool listening() const { return listener_ >= 0; }
  // Whose ring the producer has, by its own lights; -1: none.
  int ProducersAgent() const;

  // ---- the producer's calls, by way of model_*()
  int Connect();
  bool Send();
  int ReceiveRing();  // -1: none was passed
  bool AgentGone(int ring);
  void CloseProducerEnd(int ring);

 private:
  struct Connection {
    int agent = -1;
    bool agent_closed = false, producer_closed = false;
  };
  void OneStep(bool writes);

  Connection connections_[kRings];
  int used_ = 0;
  int listener_ = -1;
  Clock clock_ = {};
};

Kernel& TheKernel();

}  // namespace spantap::model
