// MTCNN's networks, each with the resizing that feeds it, in float32. Called by ctypes, which lets
// go of the interpreter lock meanwhile; __init__.py checks what it hands over.
//
// A picture is given as its integral image: (height + 1, width + 1, 3) int32. Resized pictures have
// a plane a channel; in maps between layers the channels of a pixel lie together. Nothing is kept
// from one call to the next.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define BY_CPU
#include <immintrin.h>
#endif

namespace {

/// How far the difference of two logits may be off where bfloat16 guesses it. Of 60,000 cells in
/// 160 pictures none was off by 0.1.
constexpr float MARGIN = 0.25f;

/// Sixteen channels of a pixel. The compiler splits it where registers are shorter.
typedef float Vector __attribute__((vector_size(64)));

__attribute__((always_inline)) inline Vector load(const float *from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

__attribute__((always_inline)) inline void store(float *to, Vector vector) {
    std::memcpy(to, &vector, sizeof vector);
}

struct Picture {
    const int32_t *sums;
    size_t height, width;
    bool is_reversed; // the channels of `sums`

    const int32_t *row(size_t y) const { return sums + y * (width + 1) * 3; }
    int place(int channel) const { return is_reversed ? 2 - channel : channel; }
};

/// The bins of facenet-pytorch's resizing, interpolate(mode="area"): of n pixels, output i of o is
/// the mean of the pixels floor(i * n / o) <= p < ceil((i + 1) * n / o).
struct Bins {
    std::vector<int32_t> starts, ends;
    std::vector<float> lengths;

    size_t size() const { return lengths.size(); }

    /// Bins first <= i < last of `count` over the pixels start <= p < end.
    Bins(int64_t start, int64_t end, int64_t count, int64_t first, int64_t last) {
        const int64_t pixels = end - start;
        for (int64_t i = first; i < last; i++) {
            starts.push_back(int32_t(start + i * pixels / count));
            ends.push_back(int32_t(start + ((i + 1) * pixels + count - 1) / count));
            lengths.push_back(float(ends.back() - starts.back()));
        }
    }
    Bins(int64_t start, int64_t end, int64_t count) : Bins(start, end, count, 0, count) {}
};

/// Room for a row of a picture and for the sums over its bins.
struct Scratch {
    std::vector<int32_t> strip, sums;
    Scratch(size_t width, size_t bins) : strip(3 * (width + 1)), sums(bins) {}
};

/// Two maps that turn into each other; a vector more fits behind each.
class Maps {
  public:
    explicit Maps(size_t size) : one_(size + 16), other_(size + 16) {}
    float *one() { return one_.data(); }
    float *other() { return other_.data(); }

  private:
    std::vector<float> one_, other_;
};

/// The last rows of a map, by their number; a vector more fits behind each.
template <int kept, class Number = float> class Ring {
  public:
    explicit Ring(size_t width) : stride_(width + 16), numbers_(kept * stride_) {}
    Number *operator[](int row) { return numbers_.data() + size_t(row % kept) * stride_; }

  private:
    size_t stride_;
    std::vector<Number> numbers_;
};

/// A convolution with its PReLU: how it is laid out, and where its weights are.
///
/// An output pixel takes in `taps` neighbouring floats of each of `rows` rows; those of the next
/// one begin `step` floats further. Channels come in blocks of 32, the last may be one of 16,
/// filled up with zeros. A block has (rows, taps, channels) weights, its biases and its slopes.
template <int rows_, int taps_, int step_, int channels_> struct Layer {
    static constexpr int rows = rows_, taps = taps_, step = step_, channels = channels_;
    static constexpr int filled = (channels + 15) / 16 * 16;

    /// Begin where `at` points, and move it to the end.
    explicit Layer(const float *&at) : floats_(at) { at += (rows * taps + 2) * filled; }

    /// The block that begins with a channel.
    const float *floats(int channel) const { return floats_ + (rows * taps + 2) * channel; }

  private:
    const float *floats_;
};

/// What a network says: two logits, `count` regressions, and filling.
template <int count> struct Said {
    float surplus; // the difference of the logits: log(p / (1 - p)) of the face's probability p
    float regressions[count];

    Said() = default;
    explicit Said(const float *heads) : surplus(heads[1] - heads[0]) {
        std::copy_n(heads + 2, count, regressions);
    }
};

using Answer = Said<4>;
using OutputAnswer = Said<4 + 10>; // O-Net's: the box, and five landmarks

struct Cell {
    float x, y;
    Answer answer;
};

/// The layers of the three networks. Pictures have a row for each channel, maps one for all.
struct PNet {
    Layer<9, 3, 1, 10> first;
    Layer<3, 3 * 10, 10, 16> second;
    Layer<3, 3 * 16, 16, 32> third;
    Layer<1, 32, 32, 16> heads;

    explicit PNet(const float *at) : first(at), second(at), third(at), heads(at) {}
};

struct RNet {
    static constexpr int side = 24, largest_map = 22 * 22 * 28, pooled_map = 11 * 11 * 28;
    using Says = Answer;
    using Dense = Layer<1, 3 * 3 * 64, 3 * 3 * 64, 128>;
    using Heads = Layer<1, 128, 128, 16>;
    Layer<9, 3, 1, 28> first;
    Layer<3, 3 * 28, 28, 48> second;
    Layer<2, 2 * 48, 48, 64> third;
    Dense dense;
    Heads heads;

    explicit RNet(const float *at) : first(at), second(at), third(at), dense(at), heads(at) {}
};

struct ONet {
    static constexpr int side = 48, largest_map = 46 * 46 * 32, pooled_map = 23 * 23 * 32;
    using Says = OutputAnswer;
    using Dense = Layer<1, 3 * 3 * 128, 3 * 3 * 128, 256>;
    using Heads = Layer<1, 256, 256, 16>;
    Layer<9, 3, 1, 32> first;
    Layer<3, 3 * 32, 32, 64> second;
    Layer<3, 3 * 64, 64, 64> third;
    Layer<2, 2 * 64, 64, 128> fourth;
    Dense dense;
    Heads heads;

    explicit ONet(const float *at)
        : first(at), second(at), third(at), fourth(at), dense(at), heads(at) {}
};

namespace baseline {
#ifdef __aarch64__ // 32 registers of 4 floats; others have 16
template <int vectors> constexpr int MOST = vectors == 1 ? 6 : 3;
#else
template <int vectors> constexpr int MOST = vectors == 1 ? 3 : 1;
#endif
#include "kernels.hpp"
} // namespace baseline

#ifdef BY_CPU
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
template <int vectors> constexpr int MOST = vectors == 1 ? 6 : 3;
#include "kernels.hpp"
} // namespace avx2
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
namespace avx512 {
template <int vectors> constexpr int MOST = vectors == 1 ? 14 : 10;
#include "kernels.hpp"
} // namespace avx512
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma,prefer-vector-width=512")
namespace avx512_bf16 {
#define BFLOAT16
template <int vectors> constexpr int MOST = vectors == 1 ? 14 : 10;
#include "kernels.hpp"
#undef BFLOAT16
} // namespace avx512_bf16
#pragma GCC pop_options
#endif

// ---- Suppression: see suppression.py -----------------------------------------------------------

/// The boxes that stay, of `count` boxes (x1, y1, x2, y2), in the order given: the indices of those
/// whose overlap with no earlier one that stays is over the threshold.
///
/// pixel: what is added to sides. The arithmetic is that of suppression.py, so no step may be
/// fused.
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("fp-contract=off")))
#endif
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

struct Kernels {
    const char *name;
    bool supported;
    decltype(&baseline::propose) propose;
    decltype(&baseline::score<RNet>) refine;
    decltype(&baseline::score<ONet>) output;
};

#ifdef BY_CPU
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

/// The best ones first.
const std::vector<Kernels> all = {
#ifdef BY_CPU
    {"avx512_bf16", has_avx512() && __builtin_cpu_supports("avx512bf16"), avx512_bf16::propose,
     avx512_bf16::score_by_guess, avx512_bf16::score<ONet>},
    {"avx512", has_avx512(), avx512::propose, avx512::score<RNet>, avx512::score<ONet>},
    {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx2::propose,
     avx2::score<RNet>, avx2::score<ONet>},
#endif
    {"baseline", true, baseline::propose, baseline::score<RNet>, baseline::score<ONet>},
};

} // namespace

extern "C" {

/// The name of the instruction set at `index`, the best one first; null behind the last one, empty
/// where this CPU does not have it.
const char *mtcnn_instructions(int index) {
    if (index >= int(all.size()))
        return nullptr;
    return all[index].supported ? all[index].name : "";
}

/// P-Net over a window of the picture at `columns` x `rows` pixels: cells that look like a face.
///
/// Returns how many there are, or -1 where memory is short. left, top, right, bottom: the window,
/// in pixels of the level; its sides have 11 at least. least: log(p / (1 - p)) of the least
/// probability p. cells: (room, 7) column and row in the window, log(p / (1 - p)), regression; row
/// by row.
int64_t mtcnn_propose(int instructions, const int32_t *sums, int64_t height, int64_t width,
                      int is_reversed, int64_t columns, int64_t rows, int64_t left, int64_t top,
                      int64_t right, int64_t bottom, const float *weights, float least,
                      float *cells, int64_t room) try {
    const Picture picture{sums, size_t(height), size_t(width), bool(is_reversed)};
    const Bins across(0, width, columns, left, right), down(0, height, rows, top, bottom);
    static_assert(sizeof(Cell) == 7 * sizeof(float));
    return int64_t(all[instructions].propose(picture, down, across, PNet(weights), least,
                                             reinterpret_cast<Cell *>(cells), size_t(room)));
} catch (const std::bad_alloc &) {
    return -1;
}

/// R-Net (`output` = 0) or O-Net (1) on candidates. Returns 0, or -1 where memory is short.
///
/// corners: (count, 4) left, top, right, bottom in pixels, the last two exclusive; inside the
/// picture and not empty. least: under this log(p / (1 - p)), R-Net may be a little off. answers:
/// (count, 5) log(p / (1 - p)), regression; O-Net's (count, 15) with five landmarks: x, then y.
int mtcnn_score(int instructions, const int32_t *sums, int64_t height, int64_t width,
                int is_reversed, const int32_t *corners, int64_t count, int output,
                const float *weights, float least, float *answers) try {
    const Picture picture{sums, size_t(height), size_t(width), bool(is_reversed)};
    static_assert(sizeof(Answer) == 5 * sizeof(float));
    static_assert(sizeof(OutputAnswer) == 15 * sizeof(float));
    if (output)
        all[instructions].output(picture, corners, size_t(count), ONet(weights), least,
                                 reinterpret_cast<OutputAnswer *>(answers));
    else
        all[instructions].refine(picture, corners, size_t(count), RNet(weights), least,
                                 reinterpret_cast<Answer *>(answers));
    return 0;
} catch (const std::bad_alloc &) {
    return -1;
}

/// Suppression. Returns how many boxes stay, -1 where memory is short, or -2 where the order names
/// a box that is not there, or a box is not finite.
///
/// boxes: (count, 4). order: their indices, in which they are looked at. by_minimum: overlap is
/// measured by the smaller area, not by the union. kept: room for the indices of those that stay.
int64_t mtcnn_suppress(const float *boxes, const int64_t *order, int64_t count, float threshold,
                       float pixel, int by_minimum, int64_t *kept) try {
    if (!std::all_of(order, order + count, [&](int64_t i) { return 0 <= i && i < count; }) ||
        !std::all_of(boxes, boxes + 4 * count, [](float side) { return std::isfinite(side); }))
        return -2;
    const std::vector<int64_t> stay = suppress(boxes, order, count, threshold, pixel, by_minimum);
    std::copy(stay.begin(), stay.end(), kept);
    return int64_t(stay.size());
} catch (const std::bad_alloc &) {
    return -1;
}
}
