// MTCNN's P-Net, R-Net and O-Net, each with the resizing that feeds it.

#pragma once

#include "layers.hpp"

namespace {

/// How far the difference of two logits may be off where bfloat16 guesses it. Of 60,000 cells in
/// 160 pictures none was off by 0.1.
constexpr float MARGIN = 0.25f;

// ---- The picture at another size ---------------------------------------------------------------

/// Add up `rows` rows of `count` bytes, column by column; they begin `stride` bytes apart. `Sum`
/// has room for the sum of a column.
template <class Sum>
void add_rows(const uint8_t *from, size_t stride, size_t rows, size_t count, uint32_t *sums) {
    constexpr size_t block = 4 * WIDTH / sizeof(Sum); // what fills a register
    typedef uint8_t Bytes __attribute__((vector_size(block)));
    typedef Sum Wide __attribute__((vector_size(block * sizeof(Sum))));
    typedef uint32_t Words __attribute__((vector_size(4 * block)));
    if (count < block) {
        for (size_t i = 0; i < count; i++) {
            sums[i] = 0;
            for (size_t row = 0; row < rows; row++)
                sums[i] += from[row * stride + i];
        }
        return;
    }
    for (size_t i = 0;; i = smaller(i + block, count - block)) { // the last ones may be done twice
        __builtin_prefetch(from + rows * stride + i);
        __builtin_prefetch(from + (rows + 1) * stride + i);
        Wide sum = {};
        for (size_t row = 0; row < rows; row++) {
            Bytes bytes;
            std::memcpy(&bytes, from + row * stride + i, block);
            sum += __builtin_convertvector(bytes, Wide);
        }
        const Words words = __builtin_convertvector(sum, Words);
        std::memcpy(sums + i, &words, sizeof words);
        if (i + block == count)
            return;
    }
}

/// Three channels of a pixel, and a number of the next one.
typedef uint32_t Quad __attribute__((vector_size(16)));

/// number / divisor, to the bit, for a `divisor` of 1, 2, ... 4,096 and its `inverse`.
///
/// Where products and sums are fused a division is four of them (P. Markstein, "Computation of
/// elementary functions on the IBM RISC System/6000 processor", 1990); tried for every float.
__attribute__((always_inline)) inline float quotient(float number, float divisor, float inverse) {
#if defined(__FMA__) || defined(__aarch64__)
    const float close = number * inverse;
    return __builtin_fmaf(__builtin_fmaf(-close, divisor, number), inverse, close);
#else
    return number / divisor;
#endif
}

/// Row `y` of a picture at another size, a channel at each of `out`: means over integer bins.
void average(const Picture &picture, const Bins &down, size_t y, const Bins &across,
             Scratch &scratch, float *const (&out)[3]) {
    const int32_t *starts = across.starts.data(), *ends = across.ends.data();
    const size_t count = across.size(), first = starts[0], span = ends[count - 1] - first;
    uint32_t *columns = scratch.columns.data(), *prefixes = scratch.prefixes.data(),
             *sums = scratch.sums.data();

    const size_t stride = 3 * picture.width, rows = size_t(down.ends[y] - down.starts[y]);
    const uint8_t *top = picture.pixels + down.starts[y] * stride + 3 * first;
    if (rows <= 256)
        add_rows<uint16_t>(top, stride, rows, 3 * span, columns);
    else
        add_rows<uint32_t>(top, stride, rows, 3 * span, columns);
    Quad sum = {};
    for (size_t x = 0; x < span; x++) { // before the first pixel the sum is 0, and stays so
        sum += load<Quad>(columns + 3 * x);
        store(prefixes + 4 * (x + 1), sum);
    }
    for (size_t x = 0; x < count; x++)
        store(sums + 4 * x, load<Quad>(prefixes + 4 * (ends[x] - first)) -
                                load<Quad>(prefixes + 4 * (starts[x] - first)));
    const float *lengths = across.lengths.data(), *inverses = across.inverses.data();
    const float height = down.lengths[y], inverse = down.inverses[y];
    for (int channel = 0; channel < 3; channel++) {
        const uint32_t *at = sums + (picture.is_reversed ? 2 - channel : channel);
        // torch divides by one side after the other; the constants are facenet-pytorch's.
        float *__restrict means = out[channel];
        for (size_t x = 0; x < count; x++) {
            const float mean = quotient(float(int32_t(at[4 * x])), height, inverse);
            means[x] = (quotient(mean, lengths[x], inverses[x]) - 127.5f) * 0.0078125f;
        }
    }
}

// ---- P-Net -------------------------------------------------------------------------------------

/// What is behind P-Net's pooling, row by row.
class Tail {
  public:
    Tail(const PNet &net, int pooled_width)
        : net_(net), columns_(pooled_width - 4), pooled_(pooled_width * net.first.channels),
          second_(pooled_width * net.second.channels), third_(columns_ * net.third.channels),
          heads_(columns_ * net.heads.channels) {}

    /// To be called before rows are added, after another tail had some.
    void resume() const {}

    /// Where pooled row `y` is to be written. Then it is to be added.
    float *pooled(int y) { return pooled_[y]; }

    /// Take in a pooled row. From the fifth one on each completes a row of cells: call `found` with
    /// the column and the answer of those whose surplus is `least` or more.
    template <class Found> void add(int y, float least, const Found &found) {
        if (y >= 2) {
            const float *rows[] = {pooled_[y - 2], pooled_[y - 1], pooled_[y]};
            convolve(rows, columns_ + 2, net_.second, second_[y]);
        }
        if (y >= 4) {
            const float *rows[] = {second_[y - 2], second_[y - 1], second_[y]};
            convolve(rows, columns_, net_.third, third_.data());
            const float *row = third_.data();
            convolve(&row, columns_, net_.heads, heads_.data());
            for (int x = 0; x < columns_; x++)
                if (const Answer answer(&heads_[x * net_.heads.channels]); answer.surplus >= least)
                    found(x, answer);
        }
    }

  private:
    const PNet &net_;
    int columns_;
    Ring<3> pooled_, second_;
    Buffer<float> third_, heads_;
};

#ifdef __AVX512BF16__
/// A `Tail` that guesses in bfloat16, and looks again in float32 where the guess is not
/// well under `least`.
class GuessingTail {
  public:
    GuessingTail(const PNet &net, int pooled_width)
        : net_(net), columns_(pooled_width - 4),
          tiles_(net.second, columns_ + 2, net.third, columns_),
          second_weights_(shortened(net.second)), third_weights_(shortened(net.third)),
          pooled_(pooled_width * net.first.channels),
          short_pooled_(pooled_width * net.first.channels),
          short_second_(pooled_width * net.second.channels),
          second_(3 * pooled_width * net.second.channels), third_(columns_ * net.third.channels),
          guesses_(columns_ * net.heads.channels), heads_(guesses_.size()) {}

    void resume() const { tiles_.use(); }

    float *pooled(int y) { return pooled_[y]; }

    template <class Found> void add(int y, float least, const Found &found) {
        shorten(pooled_[y], (columns_ + 4) * net_.first.channels, short_pooled_[y]);
        if (y >= 2) {
            const uint16_t *rows[] = {short_pooled_[y - 2], short_pooled_[y - 1], short_pooled_[y]};
            guess<0>(rows, columns_ + 2, net_.second, second_.data(), second_weights_.data());
            shorten(second_.data(), (columns_ + 2) * net_.second.channels, short_second_[y]);
        }
        if (y >= 4) {
            const uint16_t *rows[] = {short_second_[y - 2], short_second_[y - 1], short_second_[y]};
            guess<4>(rows, columns_, net_.third, third_.data(), third_weights_.data());
            const float *row = third_.data();
            convolve(&row, columns_, net_.heads, guesses_.data());
            for (int x = 0, end; x < columns_; x = end + 1) {
                for (end = x; end < columns_ && may_pass(end, least);)
                    end++;
                if (end > x)
                    look_again(y, x, end - x, least, found);
            }
        }
    }

  private:
    bool may_pass(int x, float least) const {
        return Answer(&guesses_[x * net_.heads.channels]).surplus >= least - MARGIN;
    }

    /// `count` cells from column `x` on, as `Tail` has them.
    template <class Found>
    void look_again(int y, int x, int count, float least, const Found &found) {
        const float *last[3];
        for (int i = 0; i < 3; i++) {
            const float *rows[3];
            for (int row = 0; row < 3; row++)
                rows[row] = pooled_[y - 4 + i + row] + x * net_.first.channels;
            float *const out = &second_[i * (count + 2) * net_.second.channels];
            convolve(rows, count + 2, net_.second, out);
            last[i] = out;
        }
        convolve(last, count, net_.third, third_.data());
        const float *row = third_.data();
        convolve(&row, count, net_.heads, heads_.data());
        for (int i = 0; i < count; i++)
            if (const Answer answer(&heads_[i * net_.heads.channels]); answer.surplus >= least)
                found(x + i, answer);
    }

    const PNet &net_;
    int columns_;
    Tiles tiles_;
    Buffer<uint16_t> second_weights_, third_weights_;
    Ring<5> pooled_;
    Ring<3, uint16_t> short_pooled_, short_second_;
    Buffer<float> second_, third_, guesses_, heads_;
};

using BestTail = GuessingTail;
#else
using BestTail = Tail;
#endif

/// P-Net over a window of a level, row by row: what lies between its layers stays in the cache.
class Search {
  public:
    /// Cells that reach the surplus `least` are written to `cells`, as many as the level has room
    /// for.
    Search(const Picture &picture, const Level &level, const float *weights, float least,
           float *cells)
        : picture_(picture), net_(weights),
          across_(0, int64_t(picture.width), level.columns, level.left, level.right),
          down_(0, int64_t(picture.height), level.rows, level.top, level.bottom),
          height_(int(down_.size())), width_(int(across_.size())),
          scratch_(picture.width, across_.size()),
          planes_{Ring<4>(width_), Ring<4>(width_), Ring<4>(width_)},
          first_((width_ - 2) * net_.first.channels), tail_(net_, (width_ - 1) / 2), least_(least),
          cells_(cells), room_(level.room) {}

    /// Go on as far as the picture's rows before `end` allow.
    void advance(int64_t end) {
        tail_.resume();
        for (; y_ < (height_ - 1) / 2; y_++) {
            for (; made_ < smaller(2 * y_ + 4, height_); made_++) {
                if (down_.ends[made_] > end)
                    return;
                average(picture_, down_, made_, across_, scratch_,
                        {planes_[0][made_], planes_[1][made_], planes_[2][made_]});
            }
            const int pair = smaller(2, height_ - 2 - 2 * y_);
            for (int top = 2 * y_; top < 2 * y_ + pair; top++) {
                const float *rows[9];
                for (int row = 0; row < 9; row++)
                    rows[row] = planes_[row % 3][top + row / 3];
                convolve(rows, width_ - 2, net_.first, first_[top]);
            }
            const float *both[] = {first_[2 * y_], first_[2 * y_ + 1]};
            pool<2, decltype(net_.first)::channels>(both, pair, width_ - 2, tail_.pooled(y_));
            tail_.add(y_, least_, [&](int x, const Answer &answer) {
                if (found_ < room_) {
                    const Cell cell{float(x), float(y_ - 4), answer};
                    static_assert(sizeof cell == 7 * sizeof(float));
                    std::memcpy(cells_ + 7 * found_, &cell, sizeof cell);
                }
                found_++;
            });
        }
    }

    int64_t found() const { return found_; }

  private:
    const Picture &picture_;
    const PNet net_;
    const Bins across_, down_;
    const int height_, width_;
    Scratch scratch_;
    Ring<4> planes_[3];
    Ring<2> first_;
    BestTail tail_;
    const float least_;
    float *const cells_;
    const int64_t room_;
    int y_ = 0, made_ = 0;
    int64_t found_ = 0;
};

/// Room for some searches, which end with it.
struct Searches : Buffer<Search *> {
    using Buffer::Buffer;
    ~Searches() {
        for (size_t i = 0; i < size(); i++)
            delete (*this)[i];
    }
};

/// P-Net over windows of several levels. Every level takes in a strip of the picture before any
/// takes in the next, so that the picture comes from memory once.
void propose(const Picture &picture, const Level *levels, size_t count, const float *weights,
             float least, float *cells, int64_t *found) {
    constexpr int64_t strip = 1 << 18; // bytes, for which a second cache has room
    const int64_t height = int64_t(picture.height),
                  rows = count > 1 ? 1 + strip / int64_t(3 * picture.width) : height;
    Searches searches(count);
    for (size_t i = 0; i < count; cells += 7 * levels[i++].room)
        searches[i] = new Search(picture, levels[i], weights, least, cells);
    for (int64_t end = 0; end < height;) {
        end = smaller(end + rows, height);
        for (size_t i = 0; i < count; i++)
            searches[i]->advance(end);
    }
    for (size_t i = 0; i < count; i++)
        found[i] = searches[i]->found();
}

// ---- R-Net and O-Net ---------------------------------------------------------------------------

/// Each row of a square map through a convolution of `size` x `size`: call `row` with where its
/// taps are, how many pixels it gives, and where they are to be written.
template <int side, int size, class Layer, class Number, class Row>
void for_rows(const Layer &, const Number *in, float *out, const Row &row) {
    constexpr int width = side * Layer::step, left = side - size + 1;
    for (int y = 0; y < left; y++, out += left * Layer::channels) {
        const Number *rows[Layer::rows];
        for (int i = 0; i < Layer::rows; i++)
            rows[i] = in + (y * Layer::rows / size + i) * width;
        row(rows, left, out);
    }
}

template <int side, int size, class Layer>
void convolve_map(const Layer &layer, const float *in, float *out) {
    for_rows<side, size>(layer, in, out, [&](const float *const *rows, int count, float *to) {
        convolve(rows, count, layer, to);
    });
}

/// A square map, of the channels of a layer's output, pooled over `size` x `size`.
template <int side, int size, class Layer>
void pool_map(const Layer &, const float *in, float *out) {
    constexpr int row = side * Layer::channels, left = (side - size + 1) / 2 + 1;
    for (int y = 0; y < left; y++, out += left * Layer::channels) {
        const float *rows[size];
        for (int i = 0; i < size; i++)
            rows[i] = in + (2 * y + i) * row;
        pool<size, Layer::channels>(rows, smaller(size, side - 2 * y), side, out);
    }
}

/// What the dense layers of a network see, from its first map, pooled. `spare`: room for two maps.
void features(const RNet &net, const float *map, Maps &spare, float *out) {
    convolve_map<11, 3>(net.second, map, spare.one());
    pool_map<9, 3>(net.second, spare.one(), spare.other());
    convolve_map<4, 2>(net.third, spare.other(), out);
}

void features(const ONet &net, const float *map, Maps &spare, float *out) {
    convolve_map<23, 3>(net.second, map, spare.one());
    pool_map<21, 3>(net.second, spare.one(), spare.other());
    convolve_map<10, 3>(net.third, spare.other(), spare.one());
    pool_map<8, 2>(net.third, spare.one(), spare.other());
    convolve_map<4, 2>(net.fourth, spare.other(), out);
}

/// Candidates on their way through R-Net or O-Net.
///
/// The dense layers see several at once: there is more to read of weights than of maps.
template <class Net> class Group {
  public:
    static constexpr int MOST_AT_ONCE = MOST<2>;

    Group(const Picture &picture, const Net &net)
        : picture_(picture), net_(net), scratch_(picture.width, Net::side),
          spare_(Net::largest_map), maps_(MOST_AT_ONCE * Net::pooled_map + 16),
          features_(MOST_AT_ONCE * Net::Dense::taps + 16),
          dense_(MOST_AT_ONCE * Net::Dense::channels), heads_(MOST_AT_ONCE * Net::Heads::channels) {
    }

    /// Resize a candidate, and take it through the first layer and its pooling.
    void begin(int place, const int32_t *corners) {
        constexpr int side = Net::side, size = 3;
        const Bins down(corners[1], corners[3], side), across(corners[0], corners[2], side);
        float *row = spare_.one();
        for (int y = 0; y < side; y++, row += 3 * side)
            average(picture_, down, y, across, scratch_, {row, row + side, row + 2 * side});
        convolve_map<side, size>(net_.first, spare_.one(), spare_.other());
        pool_map<side - size + 1, size>(net_.first, spare_.other(), map(place));
    }

    const float *map(int place) const { return &maps_[place * Net::pooled_map]; }
    float *map(int place) { return &maps_[place * Net::pooled_map]; }
    float *features_of(int place) { return &features_[place * Net::Dense::taps]; }
    Maps &spare() { return spare_; }

    /// Finish the first `count` candidates whose features are there.
    template <class Found> void finish(int count, const Found &found) {
        const float *row = features_.data();
        convolve(&row, count, net_.dense, dense_.data());
        row = dense_.data();
        convolve(&row, count, net_.heads, heads_.data());
        for (int i = 0; i < count; i++)
            found(i, typename Net::Says(&heads_[i * Net::Heads::channels]));
    }

  private:
    const Picture &picture_;
    const Net &net_;
    Scratch scratch_;
    Maps spare_;
    Buffer<float> maps_, features_, dense_, heads_;
};

/// Put an answer at a place in an array of such.
template <int count> void write(const Said<count> &answer, float *answers, size_t place) {
    static_assert(sizeof answer == (1 + count) * sizeof(float));
    std::memcpy(answers + (1 + count) * place, &answer, sizeof answer);
}

/// Score candidates, given as (count, 4) left, top, right, bottom, the last two exclusive.
template <class Net>
void score(const Picture &picture, const int32_t *corners, size_t count, const float *weights,
           float, float *answers) {
    const Net net(weights);
    Group<Net> group(picture, net);
    for (size_t done = 0; done < count;) {
        const int some = int(smaller(size_t(group.MOST_AT_ONCE), count - done));
        for (int i = 0; i < some; i++) {
            group.begin(i, corners + 4 * (done + i));
            features(net, group.map(i), group.spare(), group.features_of(i));
        }
        group.finish(some, [&](int i, const auto &answer) { write(answer, answers, done + i); });
        done += some;
    }
}

#ifdef __AVX512BF16__
template <int tiles, int side, int size, class Layer>
void guess_map(const Layer &layer, const uint16_t *in, float *out, const uint16_t *shorts) {
    for_rows<side, size>(layer, in, out, [&](const uint16_t *const *rows, int count, float *to) {
        guess<tiles>(rows, count, layer, to, shorts);
    });
}

/// R-Net guesses in bfloat16, and looks again in float32 where the guess is not well under
/// `least`.
void score_by_guess(const Picture &picture, const int32_t *corners, size_t count,
                    const float *weights, float least, float *answers) {
    const RNet net(weights);
    Group<RNet> group(picture, net);
    const Buffer<uint16_t> second = shortened(net.second), third = shortened(net.third);
    Buffer<uint16_t> shorts(RNet::pooled_map + 16);
    const Tiles tiles(net.second, 9, net.third, 3); // pixels per row of their maps
    tiles.use();
    for (size_t done = 0; done < count;) {
        const int some = int(smaller(size_t(group.MOST_AT_ONCE), count - done));
        Maps &spare = group.spare();
        for (int i = 0; i < some; i++) {
            group.begin(i, corners + 4 * (done + i));
            shorten(group.map(i), RNet::pooled_map, shorts.data());
            guess_map<0, 11, 3>(net.second, shorts.data(), spare.one(), second.data());
            pool_map<9, 3>(net.second, spare.one(), spare.other());
            shorten(spare.other(), 4 * 4 * net.second.channels, shorts.data());
            guess_map<4, 4, 2>(net.third, shorts.data(), group.features_of(i), third.data());
        }
        int possible[Group<RNet>::MOST_AT_ONCE], count_possible = 0;
        group.finish(some, [&](int i, const Answer &answer) {
            write(answer, answers, done + i);
            if (answer.surplus >= least - MARGIN)
                possible[count_possible++] = i;
        });
        for (int i = 0; i < count_possible; i++)
            features(net, group.map(possible[i]), spare, group.features_of(i));
        group.finish(count_possible, [&](int i, const Answer &answer) {
            write(answer, answers, done + possible[i]);
        });
        done += some;
    }
}
#endif

} // namespace
