// SPDX-License-Identifier: Apache-2.0
#include "agent/link/forest.h"

#include <algorithm>
#include <queue>
#include <utility>

namespace spantap {
namespace {

struct StartsLater {
  bool operator()(const Node* a, const Node* b) const {
    const uint64_t a_ns = a->start_ns;
    const uint64_t b_ns = b->start_ns;
    return a_ns != b_ns ? a_ns > b_ns : a->id > b->id;
  }
};

}  // namespace

Node& RootOf(Node& node) {
  Node* at = &node;
  while (at->parent != nullptr) at = at->parent;
  return *at;
}

bool Attach(Node& child, Node& parent, LinkRule rule, Confidence confidence) {
  if (child.parent != nullptr) return false;
  Node* root = &parent;
  int height = child.height + 1;
  for (; root->parent != nullptr; root = root->parent) ++height;
  if (root == &child || height > kMaxDepth) return false;
  root->height = std::max(root->height, height);
  child.parent = &parent;
  child.rule = rule;
  child.confidence = confidence;
  child.prev_sibling = parent.last_child;
  (parent.last_child != nullptr ? parent.last_child->next_sibling : parent.first_child) = &child;
  parent.last_child = &child;
  root->blockers += child.blockers;
  root->settle_at = std::max(root->settle_at, child.settle_at);
  return true;
}

void Detach(Node& leaf) {
  Node* const parent = leaf.parent;
  if (parent == nullptr) return;
  (leaf.prev_sibling != nullptr ? leaf.prev_sibling->next_sibling : parent->first_child) = leaf.next_sibling;
  (leaf.next_sibling != nullptr ? leaf.next_sibling->prev_sibling : parent->last_child) = leaf.prev_sibling;
  leaf.parent = leaf.prev_sibling = leaf.next_sibling = nullptr;
}

void Split(Node& child) {
  if (child.parent == nullptr) return;
  Node& root = RootOf(child);
  Detach(child);
  child.rule = LinkRule::kNone;
  child.confidence = 1.0;
  child.settle_at = root.settle_at;
  child.queued_for = 0;
  child.blockers = 0;
  child.height = 0;
  std::vector<std::pair<Node*, int>> below = {{&child, 0}};
  while (!below.empty()) {
    const auto [node, depth] = below.back();
    below.pop_back();
    child.blockers += node->OwnBlockers();
    child.height = std::max(child.height, depth);
    for (Node* each = node->first_child; each != nullptr; each = each->next_sibling)
      below.emplace_back(each, depth + 1);
  }
  root.blockers -= child.blockers;
}

void InOrder(Node& root, std::vector<Node*>& out) {
  out.push_back(&root);
  if (root.first_child == nullptr) return;
  std::priority_queue<Node*, std::vector<Node*>, StartsLater> ready;
  for (Node* at = &root;;) {
    for (Node* child = at->first_child; child != nullptr; child = child->next_sibling) ready.push(child);
    if (ready.empty()) return;
    at = ready.top();
    ready.pop();
    out.push_back(at);
  }
}

}  // namespace spantap
