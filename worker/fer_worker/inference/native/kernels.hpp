// What is computed with one instruction set, and the table of all of them.
//
// A file per instruction set (baseline.cpp, avx2.cpp, ...) includes networks.hpp and is compiled
// with the compiler's options for that set; CMakeLists.txt has them. entries.cpp chooses among the
// tables.

#pragma once

#include <cstddef>
#include <cstdint>

/// A picture: (height, width, 3) uint8.
struct Picture {
    const uint8_t *pixels;
    size_t height, width;
    bool is_reversed; // its channels
};

/// A picture at `columns` x `rows` pixels, a window of it in those pixels, and for how many of its
/// cells there is room.
struct Level {
    int64_t columns, rows, left, top, right, bottom, room;
};

/// See entries.cpp for the arguments.
struct Kernels {
    void (*propose)(const Picture &, const Level *levels, size_t count, const float *weights,
                    float least, float *cells, int64_t *found);
    void (*refine)(const Picture &, const int32_t *corners, size_t count, const float *weights,
                   float least, float *answers);
    void (*output)(const Picture &, const int32_t *corners, size_t count, const float *weights,
                   float least, float *answers);
    void (*classify)(const float *pictures, size_t count, const float *weights, float *logits);
};

extern const Kernels baseline, avx2, avx512, avx512_bf16, amx_bf16;

/// Memory for `count` things of `size` bytes, all zero, which `free` takes back.
///
/// Throws std::bad_alloc.
void *zeros(size_t count, size_t size);
