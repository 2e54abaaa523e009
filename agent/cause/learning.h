// SPDX-License-Identifier: Apache-2.0
//
// What the timeline of a handler teaches: its steps, as true ones; steps from other open handlers to its calls and its
// reply, as a stranger's. Event thread.
#pragma once

#include <cstdint>
#include <deque>

#include "agent/cause/learned.h"

namespace spantap {

// `lasting`: weight of what holds at any load; `present`: of what immediate steps look like now.
void LearnTimeline(Learned& learned, const Handler& handler, const Timeline& timeline, double lasting, double present);

// Draws strangers among handlers that were open at the same time. `draws` counts, so that a recording gives the same.
void LearnStrangers(Learned& learned, const Handler& handler, const std::deque<Handler*>& others, uint64_t& draws);

}  // namespace spantap
