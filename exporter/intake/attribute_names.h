// SPDX-License-Identifier: Apache-2.0
//
// The keys of spantap.h as names of the semantic conventions. Used by record_attributes.cc and attribute_decoder.cc.
// Pure; any thread.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "exporter/model/attribute_writer.h"
#include "spantap/spantap.h"

namespace spantap {

// By key. Read as data, not by a call: each attribute of each span asks.
struct KnownAttribute {
  uint16_t key;
  absl::string_view name;
  EncodedName encoded;
};
extern const KnownAttribute kKnownAttributes[SPANTAP_KEY_COUNT_];

// Empty for SPANTAP_KEY_NAMED and for keys that this version does not know.
inline absl::string_view AttributeName(uint16_t key) {
  return key < SPANTAP_KEY_COUNT_ ? kKnownAttributes[key].name : absl::string_view();
}
// The same, ready to be written; for known keys.
inline const EncodedName& EncodedAttributeName(uint16_t key) { return kKnownAttributes[key].encoded; }

}  // namespace spantap
