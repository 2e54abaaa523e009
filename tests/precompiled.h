// SPDX-License-Identifier: Apache-2.0
//
// include/base/precompiled.h for unit tests: with Catch2, which takes longer to read than most tests.
#ifndef SPANTAP_TESTS_PRECOMPILED_H_  // not "once": this is compiled as a file of its own
#define SPANTAP_TESTS_PRECOMPILED_H_

#include <catch2/catch.hpp>

#include "base/precompiled.h"

#endif  // SPANTAP_TESTS_PRECOMPILED_H_
