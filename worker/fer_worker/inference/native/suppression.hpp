// Suppression of boxes that overlap: see suppression.py.

#pragma once

#include <cstdint>
#include <vector>

/// The boxes that stay, of `count` boxes (x1, y1, x2, y2), in the order given: the indices of those
/// whose overlap with no earlier one that stays is over the threshold.
///
/// pixel: what is added to sides. The arithmetic is that of suppression.py, so no step may be
/// fused: CMakeLists.txt tells the compiler.
std::vector<int64_t> suppress(const float *boxes, const int64_t *order, int64_t count,
                              float threshold, float pixel, bool by_minimum);
