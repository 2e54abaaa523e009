// SPDX-License-Identifier: Apache-2.0
//
// Local trees: what links and joins connect. Pure structure; the linker decides, the ids are trace_ids.h's.
//
// Event thread only. Cost: O(depth), which is bounded by kMaxDepth.
#pragma once

#include <vector>

#include "agent/link/node.h"

namespace spantap {

// Proxies that send a request in a circle would make a tree of any depth.
inline constexpr int kMaxDepth = 128;

// The root of the tree that `node` is in.
Node& RootOf(Node& node);

// Hangs the root `child` below `parent` and moves its sums to the root there. False if that would make
// a circle or a tree too deep.
[[nodiscard]] bool Attach(Node& child, Node& parent, LinkRule rule, Confidence confidence);

// Makes `child` the root of a tree of its own, with all that is below it. O(members below).
void Split(Node& child);

// Takes a leaf out of its tree.
void Detach(Node& leaf);

// All nodes of a tree: parents before children, otherwise by start time, then by id. Appends.
void InOrder(Node& root, std::vector<Node*>& out);

}  // namespace spantap
