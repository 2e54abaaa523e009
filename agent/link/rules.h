// SPDX-License-Identifier: Apache-2.0
//
// The rules for links inside a process. To add one: implement InferenceRule in a file of its own, give
// it a maker here and a line in rules.cc; what it learns goes into ProcessState.
//
// Used by the linker. Event thread only.
#pragma once

#include <memory>
#include <vector>

#include "agent/link/inference.h"

namespace spantap {

// In the order they are asked.
std::vector<std::unique_ptr<InferenceRule>> MakeRules();

std::unique_ptr<InferenceRule> MakeWireRule();
std::unique_ptr<InferenceRule> MakeRequestIdRule();
std::unique_ptr<InferenceRule> MakeProxyRule();
std::unique_ptr<InferenceRule> MakeEncryptedRule();
std::unique_ptr<InferenceRule> MakeThreadRule();
std::unique_ptr<InferenceRule> MakeCalmRule();

}  // namespace spantap
