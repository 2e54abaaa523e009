// SPDX-License-Identifier: Apache-2.0
//
// What nearly every file includes, compiled once per build by the Makefile and included by its command line. No source
// names this file, and each still includes what it uses: `make lint` compiles without it.
#ifndef SPANTAP_BASE_PRECOMPILED_H_  // not "once": this is compiled as a file of its own
#define SPANTAP_BASE_PRECOMPILED_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#endif  // SPANTAP_BASE_PRECOMPILED_H_
