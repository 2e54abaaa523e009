// SPDX-License-Identifier: Apache-2.0
//
// What a process takes over from an earlier life, and leaves to the next.
#include "agent/cause/process_causes.h"

namespace spantap {
namespace {

// Which labels of the image the route needs.
std::array<bool, kMaxLabels + 1> LabelsOf(const RouteImage& route) {
  std::array<bool, kMaxLabels + 1> used = {};
  for (const StateImage& state : route.states) {
    const Bag bag = Bag::Of(state.bag);
    for (Label label = 0; label < kMaxLabels; ++label) used[label] |= bag.count(label) > 0;
    for (const auto& [label, seen] : state.next) used[label] = true;
  }
  for (const ContextImage& context : route.contexts) {
    used[context.next] = true;
    if (context.last != Last::kRequest) used[context.last_label] = true;
  }
  for (const TokenUseImage& use : route.token_uses) used[use.label] = true;
  return used;
}

}  // namespace

// Calls get numbers only as far as this route needs them: there are few.
void ProcessCauses::Recall(uint64_t route, uint16_t number) {
  for (const RouteImage& image : remembered_.routes) {
    if (image.route != route) continue;
    const auto used = LabelsOf(image);
    LabelMap labels;
    for (Label label = 0; label < labels.size(); ++label) {
      labels[label] = used[label] && label < remembered_.calls.size() ? LabelOf(remembered_.calls[label]) : label;
    }
    learned_.Import(number, image, labels);
    return;
  }
}

LearnedImage ProcessCauses::Image() const {
  LearnedImage image;
  image.calls.resize(std::min<size_t>(labels_.size(), kOtherLabel));
  for (const auto& [call, label] : labels_) {
    if (label < image.calls.size()) image.calls[label] = call;
  }
  std::vector<std::pair<uint16_t, uint64_t>> routes;
  for (const auto& [hash, route] : routes_) routes.emplace_back(route.number, hash);
  std::sort(routes.begin(), routes.end());
  for (const auto& [number, route] : routes) {
    RouteImage learned = learned_.Export(number);
    learned.route = route;
    if (!learned.states.empty()) image.routes.push_back(std::move(learned));
  }
  return image;
}

}  // namespace spantap
