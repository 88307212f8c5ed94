// How pictures, maps and weights lie in memory. Resized pictures have a plane per channel; in maps
// between layers the channels of a pixel lie together.
//
// All of it is local to the file that includes it, and no inline function of the standard library
// is called: the linker would keep one copy for all files, perhaps one that this CPU cannot run.

#pragma once

#include <cstdlib>

#include "kernels.hpp"

namespace {

template <class Number> Number smaller(Number one, Number other) {
    return other < one ? other : one;
}

/// Numbers, all zero at first, from the start of a cache line on: elsewhere code is up to 15 %
/// slower.
template <class Number> class Buffer {
  public:
    explicit Buffer(size_t size) : memory_(zeros(size * sizeof(Number) + LINE, 1)), size_(size) {
        numbers_ = static_cast<Number *>(memory_);
        numbers_ += (LINE - reinterpret_cast<uintptr_t>(memory_) % LINE) / sizeof(Number);
    }
    Buffer(Buffer &&other) : memory_(other.memory_), numbers_(other.numbers_), size_(other.size_) {
        other.memory_ = nullptr;
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    ~Buffer() { std::free(memory_); }

    size_t size() const { return size_; }
    Number *data() { return numbers_; }
    const Number *data() const { return numbers_; }
    Number &operator[](size_t i) { return numbers_[i]; }
    const Number &operator[](size_t i) const { return numbers_[i]; }

  private:
    static constexpr size_t LINE = 64; // bytes
    void *memory_;
    Number *numbers_;
    size_t size_;
};

/// The bins of facenet-pytorch's resizing, interpolate(mode="area"): of n pixels, output i of o is
/// the mean of the pixels floor(i * n / o) <= p < ceil((i + 1) * n / o).
struct Bins {
    Buffer<int32_t> starts, ends;
    Buffer<float> lengths, inverses;

    size_t size() const { return lengths.size(); }

    /// Bins first <= i < last of `count` over the pixels start <= p < end.
    Bins(int64_t start, int64_t end, int64_t count, int64_t first, int64_t last)
        : starts(size_t(last - first)), ends(starts.size()), lengths(starts.size()),
          inverses(starts.size()) {
        const int64_t pixels = end - start;
        for (int64_t i = first; i < last; i++) {
            const size_t at = size_t(i - first);
            starts[at] = int32_t(start + i * pixels / count);
            ends[at] = int32_t(start + ((i + 1) * pixels + count - 1) / count);
            lengths[at] = float(ends[at] - starts[at]);
            inverses[at] = 1 / lengths[at];
        }
    }
    Bins(int64_t start, int64_t end, int64_t count) : Bins(start, end, count, 0, count) {}
};

/// Room for the sums of some rows of a picture: of each column, of all columns up to one, and of
/// each bin. The latter two have four numbers for each pixel.
struct Scratch {
    Buffer<uint32_t> columns, prefixes, sums;
    Scratch(size_t width, size_t bins)
        : columns(3 * width + 1), prefixes(4 * (width + 1)), sums(4 * bins) {}
};

/// Two buffers that layers write in turn; a vector more fits behind each.
class Maps {
  public:
    explicit Maps(size_t size) : one_(size + 16), other_(size + 16) {}
    float *one() { return one_.data(); }
    float *other() { return other_.data(); }

  private:
    Buffer<float> one_, other_;
};

/// The last rows of a map, by their number; a vector more fits behind each.
template <int kept, class Number = float> class Ring {
  public:
    explicit Ring(size_t width) : stride_((width + 31) / 16 * 16), numbers_(kept * stride_) {}
    Number *operator[](int row) { return numbers_.data() + size_t(row % kept) * stride_; }

  private:
    size_t stride_;
    Buffer<Number> numbers_;
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
        for (int i = 0; i < count; i++)
            regressions[i] = heads[2 + i];
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

} // namespace
