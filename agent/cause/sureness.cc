// SPDX-License-Identifier: Apache-2.0
//
// Trees are not walked: no processor can guess their answers, and a wrong guess costs more than a question. All are
// asked at once instead, sign by sign, and each "no" strikes off the leaves that it rules out; the leaf that a walk
// would have come to is the first that is left of each tree ("QuickScorer", Lucchese et al. 2015).
#include "agent/cause/sureness.h"

#include <algorithm>
#include <array>
#include <bit>
#include <tuple>
#include <vector>

#include "absl/container/inlined_vector.h"

namespace spantap {
namespace {

using Leaves = uint32_t;  // of a tree, a bit each
static_assert(SurenessModel::kMostLeaves <= 32);

class Trees {
 public:
  explicit Trees(const SurenessModel& model) {
    values_.resize(model.roots.size());
    for (size_t i = 0; i < values_.size(); ++i) Add(&model.nodes[model.roots[i]], static_cast<uint16_t>(i), values_[i]);
    for (auto& questions : questions_) {
      std::sort(questions.begin(), questions.end(),
                [](const Question& a, const Question& b) { return std::tie(a.at, a.tree) < std::tie(b.at, b.tree); });
    }
  }

  double Sum(const Evidence& evidence, double sum) const {
    absl::InlinedVector<Leaves, 128> left(values_.size(), ~Leaves{0});
    for (size_t sign = 0; sign < kSigns; ++sign) {
      const float value = evidence.at(sign);
      for (const Question& question : questions_[sign]) {
        if (value <= question.at) break;
        left[question.tree] &= question.no;
      }
    }
    for (size_t i = 0; i < values_.size(); ++i) sum += values_[i].of_leaf[std::countr_zero(left[i])];
    return sum;
  }

 private:
  // Whether a sign is at most `at`; which leaves of the tree are left if not.
  struct Question {
    float at;
    uint16_t tree;
    Leaves no;
  };
  struct Values {
    std::array<float, SurenessModel::kMostLeaves> of_leaf = {};
    size_t leaves = 0;
  };

  // Returns the node's leaves.
  Leaves Add(const SurenessNode* node, uint16_t tree, Values& values) {
    if (node->sign == SurenessNode::kLeaf) {
      values.of_leaf.at(values.leaves) = node->at;
      return Leaves{1} << values.leaves++;
    }
    const Leaves yes = Add(node + node->yes, tree, values), no = Add(node + node->no, tree, values);
    questions_[node->sign].push_back({node->at, tree, ~yes});
    return yes | no;
  }

  std::array<std::vector<Question>, kSigns> questions_;  // about each sign, ascending
  std::vector<Values> values_;                           // of each tree
};

}  // namespace

double LogOddsRight(const Evidence& evidence) {
  static const Trees trees(FittedSureness());
  return trees.Sum(evidence, FittedSureness().base);
}

double StatedFrom(const Evidence& evidence, bool strict) {
  const SurenessModel& model = FittedSureness();
  if (strict) return model.stated_strict;
  const auto& steps = SurenessModel::kOpen;
  return model.stated[std::upper_bound(steps.begin(), steps.end(), evidence[Sign::kOpen]) - steps.begin()];
}

}  // namespace spantap
