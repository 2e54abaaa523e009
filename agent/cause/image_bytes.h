// SPDX-License-Identifier: Apache-2.0
//
// A LearnedImage as bytes, little-endian, without padding:
//
//   calls u8, [hash u64]
//   routes u8, [hash u64, states u16, contexts u16, token uses u8, [state], [context], [token use]]
//   state: bag u64 u64, outstanding u8, next u8, [label u8, seen f32]
//   context: last u8, last label u8, next u8, dialled u8, seen f32, immediate f32, hops [f32], gaps [f32]
//   token use: label u8, with f32, same f32
//
// Any bytes may come: Decode() is total, and what it returns has labels that exist and counts that are finite and not
// negative. Pure; any thread. Memory: LearnedImage's bounds.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "agent/cause/learned_image.h"

namespace spantap {

std::string EncodeImage(const LearnedImage& image);
// nullopt: not an image. Encoding it again gives the same bytes.
std::optional<LearnedImage> DecodeImage(absl::string_view bytes);

}  // namespace spantap
