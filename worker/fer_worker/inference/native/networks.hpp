// All that is compiled once per instruction set.

#pragma once

#include "emotion.hpp"
#include "mtcnn.hpp"

namespace {

#ifdef __AVX512BF16__
constexpr Kernels KERNELS{propose, score_by_guess, score<ONet>, classify};
#else
constexpr Kernels KERNELS{propose, score<RNet>, score<ONet>, classify};
#endif

} // namespace
