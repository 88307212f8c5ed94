// Suppression of boxes that overlap: see `DetectorOps` in mtcnn/operations.py.

#pragma once

#include <cstdint>
#include <vector>

/// The indices of the boxes that stay, of `count` boxes (x1, y1, x2, y2), in the order given: a box
/// goes if it overlaps an earlier one that stays by more than the threshold.
///
/// pixel: what is added to sides. The arithmetic is that of numpy, so no step may be fused:
/// CMakeLists.txt tells the compiler.
std::vector<int64_t> suppress(const float *boxes, const int64_t *order, int64_t count,
                              float threshold, float pixel, bool by_minimum);
