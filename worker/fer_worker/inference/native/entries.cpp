// The library's entries, called by ctypes, which lets go of the interpreter lock meanwhile.
// library.py checks what is handed over. Nothing is kept from one call to the next.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <new>
#include <vector>

#if defined(HAS_AMX_BF16) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "huffman.hpp"
#include "kernels.hpp"
#include "suppression.hpp"

namespace {

struct Choice {
    const char *name;
    bool is_supported; // by this CPU
    const Kernels &kernels;
};

#ifdef HAS_AVX2
bool has_avx2() {
    __builtin_cpu_init(); // this may run before the compiler's own start-up code
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

#ifdef HAS_AVX512
bool has_avx512() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

#ifdef HAS_AMX_BF16
/// Tiles are a state of the CPU that Linux gives to a process that asks for it.
bool has_amx() {
#ifdef __linux__
    unsigned eax, ebx, ecx, edx;
    constexpr unsigned BF16 = 1u << 22, TILES = 1u << 24;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & BF16) == 0 || (edx & TILES) == 0)
        return false;
    constexpr long ASK_FOR_STATE = 0x1023, TILE_DATA = 18; // ARCH_REQ_XCOMP_PERM, of asm/prctl.h
    return syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
#else
    return false;
#endif
}
#endif

/// The best ones first. CMakeLists.txt defines what the compiler has.
const Choice choices[] = {
#ifdef HAS_AMX_BF16
    {"amx_bf16", has_avx512() && __builtin_cpu_supports("avx512bf16") && has_amx(), amx_bf16},
#endif
#ifdef HAS_AVX512_BF16
    {"avx512_bf16", has_avx512() && __builtin_cpu_supports("avx512bf16"), avx512_bf16},
#endif
#ifdef HAS_AVX512
    {"avx512", has_avx512(), avx512},
#endif
#ifdef HAS_AVX2
    {"avx2", has_avx2(), avx2},
#endif
    {"baseline", true, baseline},
};

} // namespace

void *zeros(size_t count, size_t size) {
    // calloc may answer null where nothing is asked for.
    if (void *memory = std::calloc(count ? count : 1, size))
        return memory;
    throw std::bad_alloc();
}

extern "C" {

/// The name of the kernel at `index`; null behind the last one, empty where this CPU cannot run it.
const char *kernels_name(int index) {
    if (index >= int(std::size(choices)))
        return nullptr;
    return choices[index].is_supported ? choices[index].name : "";
}

/// Nanoseconds that a kernel takes for a level of P-Net and 10 candidates of R-Net. What a frame
/// has of each is about the same, and so is the share that a guess has to look at again. Their
/// numbers are all 0: they make no difference.
int64_t kernels_time(int kernel) try {
    constexpr int columns = 200, rows = 120, candidates = 9, again = 1;
    const std::vector<uint8_t> pixels(3 * columns * rows);
    const Picture picture{pixels.data(), rows, columns, false};
    const std::vector<float> weights(1 << 18);
    std::vector<float> answers(7 * candidates);
    std::vector<int32_t> corners;
    for (int i = 0; i < candidates; i++)
        corners.insert(corners.end(), {0, 0, 48, 48});

    const Kernels &run = choices[kernel].kernels;
    const Level level{columns, rows, 0, 0, columns, rows, 1};
    int64_t found;
    const auto start = std::chrono::steady_clock::now();
    run.propose(picture, &level, 1, weights.data(), 1, answers.data(), &found);
    run.refine(picture, corners.data(), candidates, weights.data(), 1, answers.data());
    run.refine(picture, corners.data(), again, weights.data(), 0, answers.data());
    const auto time = std::chrono::steady_clock::now() - start;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
} catch (const std::bad_alloc &) {
    return INT64_MAX;
}

/// P-Net over windows of the picture at other sizes: cells that look like a face. Returns 0, or -1
/// where memory is short.
///
/// levels: (count, 7), see `Level`; a window's sides have 11 pixels at least. least: the least
/// surplus, log(p / (1 - p)) of a probability p. cells: (sum of rooms, 7) column and row in the
/// window, surplus, regression; row by row, each level at the beginning of its room. found:
/// (count,) how many each level has; those for which there is no room are only counted.
int mtcnn_propose(int kernel, const uint8_t *pixels, int64_t height, int64_t width, int is_reversed,
                  const Level *levels, int64_t count, const float *weights, float least,
                  float *cells, int64_t *found) try {
    const Picture picture{pixels, size_t(height), size_t(width), bool(is_reversed)};
    choices[kernel].kernels.propose(picture, levels, size_t(count), weights, least, cells, found);
    return 0;
} catch (const std::bad_alloc &) {
    return -1;
}

/// R-Net (`output` = 0) or O-Net (1) on candidates. Returns 0, or -1 where memory is short.
///
/// corners: (count, 4) left, top, right, bottom in pixels, the last two exclusive; inside the
/// picture and not empty. least: under this log(p / (1 - p)), R-Net may be a little off. answers:
/// (count, 5) log(p / (1 - p)), regression; O-Net's (count, 15) with five landmarks: x, then y.
int mtcnn_score(int kernel, const uint8_t *pixels, int64_t height, int64_t width, int is_reversed,
                const int32_t *corners, int64_t count, int output, const float *weights,
                float least, float *answers) try {
    const Picture picture{pixels, size_t(height), size_t(width), bool(is_reversed)};
    const Kernels &kernels = choices[kernel].kernels;
    (output ? kernels.output : kernels.refine)(picture, corners, size_t(count), weights, least,
                                               answers);
    return 0;
} catch (const std::bad_alloc &) {
    return -1;
}

/// The emotion network on faces. Returns 0, or -1 where memory is short.
///
/// pictures: (count, 64, 64) grey, in [-1, 1]. logits: room for (count, 7).
int emotion_classify(int kernel, const float *pictures, int64_t count, const float *weights,
                     float *logits) try {
    choices[kernel].kernels.classify(pictures, size_t(count), weights, logits);
    return 0;
} catch (const std::bad_alloc &) {
    return -1;
}

/// The coded data of one scan of a sequential JPEG; see `Scan`. Returns how many units are there
/// before the first one that is damaged or missing, or -1 where memory is short.
///
/// clean: room for size + 4,096 bytes. clean_size: how many of them are used.
int64_t jpeg_read_scan(const uint8_t *data, int64_t size, const uint8_t *tables,
                       const uint8_t *blocks, int64_t blocks_per_unit, int64_t units,
                       int64_t interval, int is_cut, uint8_t *clean, int64_t *clean_size) try {
    std::vector<uint8_t> made;
    const int64_t there = read_scan(
        {data, size, tables, blocks, blocks_per_unit, units, interval, bool(is_cut)}, made);
    *clean_size = int64_t(std::min(made.size(), size_t(size) + 4096));
    std::copy(made.begin(), made.begin() + *clean_size, clean);
    return there;
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
