#include "suppression.hpp"

#include <algorithm>

std::vector<int64_t> suppress(const float *boxes, const int64_t *order, int64_t count,
                              float threshold, float pixel, bool by_minimum) {
    std::vector<int64_t> by_left(count);
    std::vector<float> lefts, areas(count);
    float widest = 0;
    for (int64_t i = 0; i < count; i++) {
        const float *box = boxes + 4 * i;
        const float width = box[2] - box[0] + pixel, height = box[3] - box[1] + pixel;
        areas[i] = width * height;
        widest = std::max(widest, width);
        by_left[i] = i;
    }
    std::sort(by_left.begin(), by_left.end(),
              [&](int64_t a, int64_t b) { return boxes[4 * a] < boxes[4 * b]; });
    for (const int64_t i : by_left)
        lefts.push_back(boxes[4 * i]);

    std::vector<int64_t> kept;
    std::vector<bool> dropped(count);
    for (int64_t rank = 0; rank < count; rank++) {
        const int64_t i = order[rank];
        if (dropped[i])
            continue;
        kept.push_back(i);
        const float *a = boxes + 4 * i;
        // Only boxes that share columns. Rounding may take a little from `widest`: hence the 1.
        const auto first = std::lower_bound(lefts.begin(), lefts.end(), a[0] - widest - 1);
        for (auto at = first; at != lefts.end() && *at < a[2] + pixel; ++at) {
            const int64_t j = by_left[at - lefts.begin()];
            const float *b = boxes + 4 * j;
            const float width = std::min(a[2], b[2]) - std::max(a[0], b[0]) + pixel;
            const float height = std::min(a[3], b[3]) - std::max(a[1], b[1]) + pixel;
            if (width <= 0 || height <= 0 || j == i)
                continue;
            const float shared = width * height, both = areas[i] + areas[j];
            const float whole = by_minimum ? std::min(areas[i], areas[j]) : both - shared;
            if (shared / whole > threshold)
                dropped[j] = true;
        }
    }
    return kept;
}
