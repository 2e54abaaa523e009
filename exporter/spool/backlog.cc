// SPDX-License-Identifier: Apache-2.0
#include "exporter/spool/backlog.h"

#include <algorithm>
#include <utility>

namespace spantap {

Segment& Backlog::Add(Segment segment) {
  segment.first_id = next_id_;
  next_id_ += segment.records.size();
  for (const SegmentRecord& record : segment.records) {
    if (record.state == SegmentRecord::kGone) continue;
    ++segment.open;
    segment.spans += record.spans;
  }
  batches_ += segment.open;
  spans_ += segment.spans;
  bytes_ += segment.bytes;
  return segments_.emplace_back(std::move(segment));
}

void Backlog::AddRecord(Segment& newest, const SegmentRecord& record, uint64_t file_bytes) {
  newest.records.push_back(record);
  ++next_id_;
  ++newest.open;
  newest.spans += record.spans;
  ++batches_;
  spans_ += record.spans;
  bytes_ += file_bytes - newest.bytes;
  newest.bytes = file_bytes;
}

void Backlog::Remove(const Segment& segment) {
  batches_ -= segment.open;
  spans_ -= segment.spans;
  bytes_ -= segment.bytes;
  const auto at = std::find_if(segments_.begin(), segments_.end(), [&](const Segment& s) { return &s == &segment; });
  segments_.erase(at);
}

Backlog::Place Backlog::FirstReady() {
  for (Segment& segment : segments_) {
    if (segment.open == segment.taken) continue;
    while (segment.records[segment.first_ready].state != SegmentRecord::kReady) ++segment.first_ready;
    return {&segment, &segment.records[segment.first_ready]};
  }
  return {};
}

Backlog::Place Backlog::Find(uint64_t id) {
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), id,
                                      [](uint64_t wanted, const Segment& s) { return wanted < s.first_id; });
  if (after == segments_.begin()) return {};
  Segment& segment = *std::prev(after);
  const uint64_t index = id - segment.first_id;
  if (index >= segment.records.size() || segment.records[index].state == SegmentRecord::kGone) return {};
  return {&segment, &segment.records[index]};
}

void Backlog::Take(Place place) {
  place.record->state = SegmentRecord::kTaken;
  ++place.segment->taken;
}

void Backlog::PutBack(Place place) {
  if (place.record->state != SegmentRecord::kTaken) return;
  place.record->state = SegmentRecord::kReady;
  --place.segment->taken;
  const size_t index = static_cast<size_t>(place.record - place.segment->records.data());
  place.segment->first_ready = std::min(place.segment->first_ready, index);
}

void Backlog::Settle(Place place) {
  if (place.record->state == SegmentRecord::kTaken) --place.segment->taken;
  place.record->state = SegmentRecord::kGone;
  --place.segment->open;
  place.segment->spans -= place.record->spans;
  --batches_;
  spans_ -= place.record->spans;
}

}  // namespace spantap
