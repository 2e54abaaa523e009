// SPDX-License-Identifier: Apache-2.0
#include "agent/link/rules.h"

namespace spantap {

std::vector<std::unique_ptr<InferenceRule>> MakeRules() {
  std::vector<std::unique_ptr<InferenceRule>> rules;
  rules.push_back(MakeWireRule());
  rules.push_back(MakeRequestIdRule());
  // Before `thread` and `calm`: an equal head is evidence, a thread or silence only opportunity.
  rules.push_back(MakeProxyRule());
  rules.push_back(MakeEncryptedRule());
  rules.push_back(MakeThreadRule());
  rules.push_back(MakeCalmRule());
  return rules;
}

}  // namespace spantap
