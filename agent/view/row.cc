// SPDX-License-Identifier: Apache-2.0
#include "agent/view/row.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "exporter/model/url.h"

namespace spantap {
namespace {

constexpr size_t kNone = static_cast<size_t>(-1);

Row MakeRow(const LinkedExchange& linked, const SpanStyle& style) {
  const Exchange& exchange = *linked.exchange;
  Row row;
  row.linked = &linked;
  row.start_mono_ns = exchange.request_stamp.mono_ns;
  row.end_mono_ns = std::max(exchange.end_ns, row.start_mono_ns);
  row.failed = IsTransportFailure(exchange.error) ||
               IsErrorStatus(exchange.role, exchange.response ? exchange.response->status : 0);
  const Target target = SplitTarget(exchange.request.target, exchange.request.method == "CONNECT");
  if (target.path.empty()) {
    row.path = std::string(target.authority);
  } else {
    AppendPathAndQuery(target, style.query_values, &row.path);
  }
  return row;
}

// First child and next sibling of each member, as indices.
struct Family {
  explicit Family(size_t members) : first_child(members, kNone), last_child(members, kNone), next(members, kNone) {}
  void Add(size_t parent, size_t child) {
    if (last_child[parent] == kNone) {
      first_child[parent] = child;
    } else {
      next[last_child[parent]] = child;
    }
    last_child[parent] = child;
  }
  std::vector<size_t> first_child, last_child, next;
};

class Arranger {
 public:
  explicit Arranger(const std::vector<LinkedExchange>& tree) : family_(tree.size()) {
    absl::flat_hash_map<SpanId, size_t> seen;
    for (size_t i = 0; i < tree.size(); ++i) {
      if (!tree[i].sampled) continue;
      // Only members that stand before it can be its parent: no cycle, whatever the ids say.
      const auto parent = tree[i].parent_span_id.valid() ? seen.find(tree[i].parent_span_id) : seen.end();
      if (parent != seen.end() && tree[parent->second].trace_id == tree[i].trace_id) {
        family_.Add(parent->second, i);
      } else {
        roots_.push_back(i);
      }
      seen.emplace(tree[i].span_id, i);
    }
  }

  const std::vector<size_t>& roots() const { return roots_; }

  // Depth first without recursion: the depth of a tree is the traffic's choice.
  template <typename Visit>
  void Walk(size_t root, Visit visit) const {
    std::vector<std::pair<size_t, int>> open = {{root, 0}};
    while (!open.empty()) {
      const std::pair<size_t, int> top = open.back();
      const size_t member = top.first;
      const int depth = top.second;
      open.pop_back();
      visit(member, depth);
      if (member != root && family_.next[member] != kNone) open.emplace_back(family_.next[member], depth);
      if (family_.first_child[member] != kNone) open.emplace_back(family_.first_child[member], depth + 1);
    }
  }

 private:
  Family family_;
  std::vector<size_t> roots_;
};

Trace* TraceOf(const TraceId& id, std::vector<Trace>* traces) {
  for (Trace& trace : *traces) {
    if (trace.id == id) return &trace;
  }
  traces->emplace_back().id = id;
  return &traces->back();
}

}  // namespace

std::vector<Trace> Arrange(const std::vector<LinkedExchange>& tree, const SpanStyle& style,
                           const std::function<std::string(uint32_t tgid)>& service_name) {
  std::vector<Trace> traces;
  const Arranger arranger(tree);
  for (size_t root : arranger.roots()) {
    Trace* trace = TraceOf(tree[root].trace_id, &traces);
    arranger.Walk(root, [&](size_t member, int depth) {
      Row row = MakeRow(tree[member], style);
      row.depth = depth;
      row.service = service_name(tree[member].exchange->tgid);
      const bool first = trace->rows.empty();
      trace->start_mono_ns = first ? row.start_mono_ns : std::min(trace->start_mono_ns, row.start_mono_ns);
      trace->end_mono_ns = first ? row.end_mono_ns : std::max(trace->end_mono_ns, row.end_mono_ns);
      trace->rows.push_back(std::move(row));
    });
  }
  return traces;
}

std::string Outcome(const Exchange& exchange) {
  const absl::string_view error = ErrorType(exchange.error);
  if (!exchange.response) return error.empty() ? "-" : std::string(error);
  return absl::StrCat(exchange.response->status, error.empty() ? "" : " ", error);
}

}  // namespace spantap
