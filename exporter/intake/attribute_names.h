// SPDX-License-Identifier: Apache-2.0
//
// The keys of spantap.h as names of the semantic conventions. Used by record_attributes.cc and attribute_decoder.cc.
// Pure; any thread.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "exporter/model/attribute_writer.h"

namespace spantap {

// Empty for SPANTAP_KEY_NAMED and for keys that this version does not know.
absl::string_view AttributeName(uint16_t key);
// The same, ready to be written; for known keys.
const EncodedName& EncodedAttributeName(uint16_t key);

}  // namespace spantap
