// Layers of a network, for the instruction set that this file is compiled for. layout.hpp says what
// code here must not call.

#pragma once

#include <cstring>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "layout.hpp"

namespace {

/// How many floats a register has, and how many neighbouring pixels of 16 (MOST<1>) or 32 channels
/// (MOST<2>) are computed side by side: their sums have to stay in registers.
#if defined(__AVX512F__) // 32 registers
constexpr int WIDTH = 16;
template <int vectors> constexpr int MOST = vectors == 1 ? 14 : 10;
#elif defined(__AVX2__)    // 16 registers
constexpr int WIDTH = 8;
template <int vectors> constexpr int MOST = vectors == 1 ? 6 : 3;
#elif defined(__aarch64__) // 32 registers
constexpr int WIDTH = 4;
template <int vectors> constexpr int MOST = vectors == 1 ? 6 : 3;
#else                      // 16 registers
constexpr int WIDTH = 4;
template <int vectors> constexpr int MOST = vectors == 1 ? 3 : 1;
#endif

/// Channels of a pixel: as many as a register has room for. A longer one would live in memory.
typedef float Vector __attribute__((vector_size(4 * WIDTH)));

template <class Wide = Vector, class Number>
__attribute__((always_inline)) inline Wide load(const Number *from) {
    Wide wide;
    std::memcpy(&wide, from, sizeof wide);
    return wide;
}

template <class Wide, class Number>
__attribute__((always_inline)) inline void store(Number *to, Wide wide) {
    std::memcpy(to, &wide, sizeof wide);
}

/// Add to channels what the next taps of a pixel give: one of float32 ...
__attribute__((always_inline)) inline Vector add(Vector sum, const float *weights,
                                                 const float *taps) {
    return sum + load(weights) * *taps;
}

#ifdef __AVX512BF16__
/// ... or two of bfloat16, whose products are summed in float32.
__attribute__((always_inline)) inline Vector add(Vector sum, const uint16_t *weights,
                                                 const uint16_t *taps) {
    int32_t pair;
    std::memcpy(&pair, taps, sizeof pair);
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_loadu_si512(weights),
                                    (__m512bh)_mm512_set1_epi32(pair));
}

/// Round `count` floats, filled up to 16.
void shorten(const float *from, size_t count, uint16_t *to) {
    for (size_t i = 0; i < count; i += 16) {
        const __m256bh few = _mm512_cvtneps_pbh((__m512)load(from + i));
        std::memcpy(to + i, &few, sizeof few);
    }
}

/// A layer's weights, each pair of taps together.
template <class Layer> Buffer<uint16_t> shortened(const Layer &layer) {
    constexpr int taps = Layer::rows * Layer::taps;
    static_assert(Layer::taps % 2 == 0);
    Buffer<float> pairs(size_t(taps) * Layer::filled);
    size_t count = 0;
    for (int channel = 0; channel < Layer::filled; channel += 32) {
        const int length = smaller(32, Layer::filled - channel);
        const float *weights = layer.floats(channel);
        for (int tap = 0; tap < taps; tap += 2, weights += 2 * length)
            for (int i = 0; i < length; i++) {
                pairs[count++] = weights[i];
                pairs[count++] = weights[length + i];
            }
    }
    Buffer<uint16_t> shorts(pairs.size());
    shorten(pairs.data(), pairs.size(), shorts.data());
    return shorts;
}
#endif

/// Compute `pixels` neighbouring pixels of 16 * `vectors` channels: sums, bias and PReLU.
template <int pixels, int vectors, class Layer, class Number>
__attribute__((always_inline)) inline void
convolve_block(const Number *const *rows, const Number *weights, const float *bias, float *out) {
    constexpr int length = 16 * vectors, registers = length / WIDTH;
    constexpr int together = sizeof(float) / sizeof(Number);
    Vector sums[pixels][registers];
    for (int p = 0; p < pixels; p++)
        for (int r = 0; r < registers; r++)
            sums[p][r] = load(bias + WIDTH * r);
    for (int y = 0; y < Layer::rows; y++) {
        const Number *row = rows[y];
        for (int tap = 0; tap < Layer::taps; tap += together, weights += together * length)
            for (int r = 0; r < registers; r++)
                for (int p = 0; p < pixels; p++)
                    sums[p][r] = add(sums[p][r], weights + WIDTH * together * r,
                                     row + p * Layer::step + tap);
    }
    const float *slopes = bias + length;
    for (int p = 0; p < pixels; p++)
        for (int r = 0; r < registers; r++) {
            const Vector sum = sums[p][r], negative = sum * load(slopes + WIDTH * r);
            store(out + p * Layer::channels + WIDTH * r, sum < 0 ? negative : sum);
        }
}

/// The same for `count` pixels, at most `most`.
template <int most, int vectors, class Layer, class Number>
void convolve_some(int count, const Number *const *rows, const Number *weights, const float *bias,
                   float *out) {
    if constexpr (most > 1)
        if (count < most)
            return convolve_some<most - 1, vectors, Layer>(count, rows, weights, bias, out);
    convolve_block<most, vectors, Layer>(rows, weights, bias, out);
}

template <int vectors, class Layer, class Number>
void convolve_channels(const Number *const *rows, int count, const Number *weights,
                       const float *bias, float *out) {
    const Number *here[Layer::rows];
    for (int i = 0; i < Layer::rows; i++)
        here[i] = rows[i];
    while (count > 0) {
        const int blocks = (count + MOST<vectors> - 1) / MOST<vectors>;
        const int some = (count + blocks - 1) / blocks; // all of nearly the same size
        convolve_some<MOST<vectors>, vectors, Layer>(some, here, weights, bias, out);
        count -= some;
        out += some * Layer::channels;
        for (const Number *&row : here)
            row += some * Layer::step;
    }
}

/// A row of `count` pixels of a layer's output, its PReLU included.
///
/// rows: where the taps of the first pixel begin, in each input row. shorts: the weights, if the
/// taps are bfloat16. Where channels do not fill whole vectors, floats of no meaning are written
/// behind the last pixel.
template <int channel = 0, class Layer, class Number>
void convolve(const Number *const *rows, int count, const Layer &layer, float *out,
              const uint16_t *shorts = nullptr) {
    constexpr int vectors = Layer::channels - channel > 16 ? 2 : 1, next = channel + 16 * vectors;
    const Number *weights;
    if constexpr (sizeof(Number) == sizeof(uint16_t))
        weights = shorts + Layer::rows * Layer::taps * channel;
    else
        weights = layer.floats(channel);
    const float *bias = layer.floats(channel) + Layer::rows * Layer::taps * 16 * vectors;
    convolve_channels<vectors, Layer>(rows, count, weights, bias, out + channel);
    if constexpr (next < Layer::channels)
        convolve<next>(rows, count, layer, out, shorts);
}

#ifdef __AVX512BF16__
#ifdef __AMX_BF16__
// ---- Tiles of AMX ------------------------------------------------------------------------------

/// How the tiles of a layer are cut: taps by two, and neighbouring pixels.
template <class Layer> struct Tiling {
    /// A tile has room for 16 pairs of taps; a row of a layer's taps takes as few equal ones as it
    /// can.
    static constexpr int row = Layer::taps / 2, parts = (row + 15) / 16, pairs = row / parts;
    static_assert(Layer::taps % 2 == 0 && row % parts == 0 && Layer::channels % 16 == 0);

    static int pixels(int count) { return smaller(16, count); }
};

template <int tile>
__attribute__((always_inline)) inline void load_tile(const void *from, int64_t step) {
    asm volatile("tileloadd (%0,%1), %%tmm%c2" ::"r"(from), "r"(step), "i"(tile) : "memory");
}

template <int tile> __attribute__((always_inline)) inline void store_tile(void *to, int64_t step) {
    asm volatile("tilestored %%tmm%c2, (%0,%1)" ::"r"(to), "r"(step), "i"(tile) : "memory");
}

/// Add to a tile of sums (pixels, channels) the products of taps (pixels, pairs) and weights
/// (pairs, channels).
template <int sums, int taps, int weights>
__attribute__((always_inline)) inline void multiply_tiles() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(taps), "i"(weights)
                 : "memory");
}

/// A plan of how tiles are cut for rows of two layers: 0 to 3 for the first, 4 to 7 for the second.
/// Of each four, two are sums, one is taps and one is weights.
class Tiles {
  public:
    template <class One, class Two> Tiles(const One &, int one_count, const Two &, int two_count) {
        shapes_.cut<Tiling<One>>(0, one_count);
        shapes_.cut<Tiling<Two>>(4, two_count);
    }
    ~Tiles() { asm volatile("tilerelease"); }
    Tiles(const Tiles &) = delete;
    Tiles &operator=(const Tiles &) = delete;

    /// Cut this thread's tiles so. The end of any `Tiles` gives them back.
    void use() const { asm volatile("ldtilecfg %0" ::"m"(shapes_)); }

  private:
    /// What the CPU is told of the tiles: bytes of a row, and rows.
    struct Shapes {
        uint8_t palette = 1, rest[15] = {};
        uint16_t bytes[16] = {};
        uint8_t rows[16] = {};

        template <class Tiling> void cut(int first, int count) {
            for (int tile = first; tile < first + 4; tile++) {
                bytes[tile] = 64;
                rows[tile] = uint8_t(Tiling::pixels(count));
            }
            bytes[first + 2] = 4 * Tiling::pairs;
            rows[first + 3] = Tiling::pairs;
        }
    };

    Shapes shapes_;
};

/// A row of `count` pixels of 16 * `vectors` channels, as `convolve_channels`, by the tiles from
/// `first` on.
template <int first, int vectors, class Layer>
void convolve_tiles(const uint16_t *const *rows, int count, const uint16_t *weights,
                    const float *bias, float *out) {
    using Cut = Tiling<Layer>;
    const int some = Cut::pixels(count);
    for (int x = 0;; x = smaller(x + some, count - some)) { // the last ones may be done twice
        load_tile<first>(bias, 0);
        if constexpr (vectors == 2)
            load_tile<first + 1>(bias + 16, 0);
        const uint16_t *part = weights;
        for (int y = 0; y < Layer::rows; y++)
            for (int i = 0; i < Cut::parts; i++, part += 2 * Cut::pairs * 16 * vectors) {
                const uint16_t *taps = rows[y] + x * Layer::step + 2 * Cut::pairs * i;
                load_tile<first + 2>(taps, 2 * Layer::step);
                load_tile<first + 3>(part, 64 * vectors);
                multiply_tiles<first, first + 2, first + 3>();
                if constexpr (vectors == 2) {
                    load_tile<first + 3>(part + 32, 64 * vectors);
                    multiply_tiles<first + 1, first + 2, first + 3>();
                }
            }
        float *const pixels = out + x * Layer::channels;
        store_tile<first>(pixels, 4 * Layer::channels);
        if constexpr (vectors == 2)
            store_tile<first + 1>(pixels + 16, 4 * Layer::channels);
        if (x + some == count)
            break;
    }
    const float *slopes = bias + 16 * vectors;
    for (int x = 0; x < count; x++, out += Layer::channels)
        for (int r = 0; r < vectors; r++) {
            const Vector sum = load(out + 16 * r), negative = sum * load(slopes + 16 * r);
            store(out + 16 * r, sum < 0 ? negative : sum);
        }
}

/// As `convolve`, of bfloat16, by the tiles from `first` on.
template <int first, int channel = 0, class Layer>
void guess(const uint16_t *const *rows, int count, const Layer &layer, float *out,
           const uint16_t *shorts) {
    constexpr int vectors = Layer::channels - channel > 16 ? 2 : 1, next = channel + 16 * vectors;
    const float *bias = layer.floats(channel) + Layer::rows * Layer::taps * 16 * vectors;
    convolve_tiles<first, vectors, Layer>(rows, count, shorts + Layer::rows * Layer::taps * channel,
                                          bias, out + channel);
    if constexpr (next < Layer::channels)
        guess<first, next>(rows, count, layer, out, shorts);
}
#else
/// Without AMX there are none.
struct Tiles {
    template <class One, class Two> Tiles(const One &, int, const Two &, int) {}
    void use() const {}
};

template <int, class Layer>
void guess(const uint16_t *const *rows, int count, const Layer &layer, float *out,
           const uint16_t *shorts) {
    convolve(rows, count, layer, out, shorts);
}
#endif
#endif

/// A row of maxima over `size` x `size` pixels, 2 apart; behind the end of a map there are fewer.
///
/// maps: `rows` rows of `count` pixels.
template <int size, int channels>
void pool(const float *const *maps, int rows, int count, float *out) {
    for (int x = 0; x < count - size + 2; x += 2, out += channels) {
        const int columns = smaller(size, count - x);
        for (int channel = 0; channel < channels; channel += WIDTH) {
            Vector best = load(maps[0] + x * channels + channel);
            for (int row = 0; row < rows; row++)
                for (int column = row == 0; column < columns; column++) {
                    const Vector next = load(maps[row] + (x + column) * channels + channel);
                    best = next > best ? next : best;
                }
            store(out + channel, best);
        }
    }
}

} // namespace
