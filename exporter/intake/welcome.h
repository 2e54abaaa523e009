// SPDX-License-Identifier: Apache-2.0
//
// The answer to a producer's hello. Used by agent/handoff and exporter/embedded. Never waits; any thread.
#pragma once

#include <cstdint>

namespace spantap {

// `error`: 0, and then `ring_fd` is passed on; or the errno that says why not. False if the peer did not take it.
bool SendWelcome(int connection, int error, uint64_t data_bytes, int ring_fd);

}  // namespace spantap
