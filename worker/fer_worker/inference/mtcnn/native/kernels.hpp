// The kernels for one instruction set. mtcnn.cpp includes this once for each, in a namespace that
// says how many pixels are computed side by side: MOST<1> of 16 channels each, MOST<2> of 32. Their
// sums have to stay in registers. BFLOAT16 is defined where the CPU computes with that, too.

// ---- The picture at another size ---------------------------------------------------------------

/// Row `y` of a picture at another size, a channel at each of `out`: means over integer bins.
static void average(const Picture &picture, const Bins &down, size_t y, const Bins &across,
                    Scratch &scratch, float *const (&out)[3]) {
    const int32_t *starts = across.starts.data(), *ends = across.ends.data();
    const float *widths = across.lengths.data(), height = down.lengths[y];
    const size_t count = across.size(), first = starts[0], span = ends[count - 1] + 1 - first;
    int32_t *__restrict strip = scratch.strip.data(), *__restrict sums = scratch.sums.data();

    // Rows first: it leaves half to gather. Unsigned: over 8 Mpx an integral image wraps around.
    const int32_t *upper = picture.row(down.starts[y]) + 3 * first;
    const int32_t *lower = picture.row(down.ends[y]) + 3 * first;
    for (size_t i = 0; i < 3 * span; i++)
        strip[i] = int32_t(uint32_t(lower[i]) - uint32_t(upper[i]));
    for (int channel = 0; channel < 3; channel++) {
        const int32_t *at = strip + picture.place(channel);
        for (size_t x = 0; x < count; x++)
            sums[x] = at[3 * (ends[x] - first)] - at[3 * (starts[x] - first)];
        // torch divides by one side after the other; the constants are facenet-pytorch's.
        float *__restrict means = out[channel];
        for (size_t x = 0; x < count; x++)
            means[x] = (float(sums[x]) / height / widths[x] - 127.5f) * 0.0078125f;
    }
}

// ---- Layers of a network -----------------------------------------------------------------------

/// Add to 16 channels what the next taps of a pixel give: one of float32 ...
__attribute__((always_inline)) static inline Vector add(Vector sum, const float *weights,
                                                        const float *taps) {
    return sum + load(weights) * *taps;
}

#ifdef BFLOAT16
/// ... or two of bfloat16, whose products are summed in float32.
__attribute__((always_inline)) static inline Vector add(Vector sum, const uint16_t *weights,
                                                        const uint16_t *taps) {
    int32_t pair;
    std::memcpy(&pair, taps, sizeof pair);
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_loadu_si512(weights),
                                    (__m512bh)_mm512_set1_epi32(pair));
}

/// Round `count` floats, filled up to 16.
static void shorten(const float *from, size_t count, uint16_t *to) {
    for (size_t i = 0; i < count; i += 16) {
        const __m256bh few = _mm512_cvtneps_pbh((__m512)load(from + i));
        std::memcpy(to + i, &few, sizeof few);
    }
}

/// A layer's weights, each pair of taps together.
template <class Layer> static std::vector<uint16_t> shortened(const Layer &layer) {
    constexpr int taps = Layer::rows * Layer::taps;
    static_assert(Layer::taps % 2 == 0);
    std::vector<float> pairs;
    for (int channel = 0; channel < Layer::filled; channel += 32) {
        const int length = std::min(32, Layer::filled - channel);
        const float *weights = layer.floats(channel);
        for (int tap = 0; tap < taps; tap += 2, weights += 2 * length)
            for (int i = 0; i < length; i++) {
                pairs.push_back(weights[i]);
                pairs.push_back(weights[length + i]);
            }
    }
    std::vector<uint16_t> shorts(pairs.size());
    shorten(pairs.data(), pairs.size(), shorts.data());
    return shorts;
}
#endif

/// Compute `pixels` neighbouring pixels of 16 * `vectors` channels: sums, bias and PReLU.
template <int pixels, int vectors, class Layer, class Number>
__attribute__((always_inline)) static inline void
convolve_block(const Number *const *rows, const Number *weights, const float *bias, float *out) {
    constexpr int length = 16 * vectors, together = sizeof(float) / sizeof(Number);
    Vector sums[pixels][vectors];
    for (int p = 0; p < pixels; p++)
        for (int v = 0; v < vectors; v++)
            sums[p][v] = load(bias + 16 * v);
    for (int y = 0; y < Layer::rows; y++) {
        const Number *row = rows[y];
        for (int tap = 0; tap < Layer::taps; tap += together, weights += together * length)
            for (int v = 0; v < vectors; v++)
                for (int p = 0; p < pixels; p++)
                    sums[p][v] =
                        add(sums[p][v], weights + 16 * together * v, row + p * Layer::step + tap);
    }
    const float *slopes = bias + length;
    for (int p = 0; p < pixels; p++)
        for (int v = 0; v < vectors; v++) {
            const Vector sum = sums[p][v];
            store(out + p * Layer::channels + 16 * v, sum < 0 ? sum * load(slopes + 16 * v) : sum);
        }
}

/// The same for `count` pixels, at most `most`.
template <int most, int vectors, class Layer, class Number>
static void convolve_some(int count, const Number *const *rows, const Number *weights,
                          const float *bias, float *out) {
    if constexpr (most > 1)
        if (count < most)
            return convolve_some<most - 1, vectors, Layer>(count, rows, weights, bias, out);
    convolve_block<most, vectors, Layer>(rows, weights, bias, out);
}

template <int vectors, class Layer, class Number>
static void convolve_channels(const Number *const *rows, int count, const Number *weights,
                              const float *bias, float *out) {
    const Number *here[Layer::rows];
    std::copy_n(rows, Layer::rows, here);
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
static void convolve(const Number *const *rows, int count, const Layer &layer, float *out,
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

/// A row of maxima over `size` x `size` pixels, 2 apart; behind the end of a map there are fewer.
///
/// maps: `rows` rows of `count` pixels.
template <int size, int channels>
static void pool(const float *const *maps, int rows, int count, float *out) {
    for (int x = 0; x < count - size + 2; x += 2, out += channels) {
        const int columns = std::min(size, count - x);
        for (int channel = 0; channel < channels; channel += 16) {
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

// ---- P-Net -------------------------------------------------------------------------------------

/// What is behind P-Net's pooling, row by row.
class Tail {
  public:
    Tail(const PNet &net, int pooled_width)
        : net_(net), columns_(pooled_width - 4), pooled_(pooled_width * net.first.channels),
          second_(pooled_width * net.second.channels), third_(columns_ * net.third.channels),
          heads_(columns_ * net.heads.channels) {}

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
    std::vector<float> third_, heads_;
};

#ifdef BFLOAT16
/// A `Tail` that guesses in bfloat16, and looks again in float32 where the guess comes near
/// `least`.
class GuessingTail {
  public:
    GuessingTail(const PNet &net, int pooled_width)
        : net_(net), columns_(pooled_width - 4), second_weights_(shortened(net.second)),
          third_weights_(shortened(net.third)), pooled_(pooled_width * net.first.channels),
          short_pooled_(pooled_width * net.first.channels),
          short_second_(pooled_width * net.second.channels),
          second_(3 * pooled_width * net.second.channels), third_(columns_ * net.third.channels),
          guesses_(columns_ * net.heads.channels), heads_(guesses_.size()) {}

    float *pooled(int y) { return pooled_[y]; }

    template <class Found> void add(int y, float least, const Found &found) {
        shorten(pooled_[y], (columns_ + 4) * net_.first.channels, short_pooled_[y]);
        if (y >= 2) {
            const uint16_t *rows[] = {short_pooled_[y - 2], short_pooled_[y - 1], short_pooled_[y]};
            convolve(rows, columns_ + 2, net_.second, second_.data(), second_weights_.data());
            shorten(second_.data(), (columns_ + 2) * net_.second.channels, short_second_[y]);
        }
        if (y >= 4) {
            const uint16_t *rows[] = {short_second_[y - 2], short_second_[y - 1], short_second_[y]};
            convolve(rows, columns_, net_.third, third_.data(), third_weights_.data());
            const float *row = third_.data();
            convolve(&row, columns_, net_.heads, guesses_.data());
            for (int x = 0, end; x < columns_; x = end + 1) {
                for (end = x; end < columns_ && is_near(end, least);)
                    end++;
                if (end > x)
                    look_again(y, x, end - x, least, found);
            }
        }
    }

  private:
    bool is_near(int x, float least) const {
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
    std::vector<uint16_t> second_weights_, third_weights_;
    Ring<5> pooled_;
    Ring<3, uint16_t> short_pooled_, short_second_;
    std::vector<float> second_, third_, guesses_, heads_;
};
#endif

/// P-Net over a window of a level, row by row: what lies between its layers stays in the cache.
///
/// Returns how many cells reach the surplus `least`; as many as there is room for are written.
static size_t propose(const Picture &picture, const Bins &down, const Bins &across, const PNet &net,
                      float least, Cell *cells, size_t room) {
    const int height = int(down.size()), width = int(across.size());
    Scratch scratch(picture.width, across.size());
    Ring<4> level[3] = {Ring<4>(width), Ring<4>(width), Ring<4>(width)};
    Ring<2> first((width - 2) * net.first.channels);
#ifdef BFLOAT16
    GuessingTail tail(net, (width - 1) / 2);
#else
    Tail tail(net, (width - 1) / 2);
#endif
    size_t count = 0;

    for (int y = 0, made = 0; y < (height - 1) / 2; y++) {
        for (; made < std::min(2 * y + 4, height); made++)
            average(picture, down, made, across, scratch,
                    {level[0][made], level[1][made], level[2][made]});

        const int pair = std::min(2, height - 2 - 2 * y);
        for (int top = 2 * y; top < 2 * y + pair; top++) {
            const float *rows[9];
            for (int row = 0; row < 9; row++)
                rows[row] = level[row % 3][top + row / 3];
            convolve(rows, width - 2, net.first, first[top]);
        }
        const float *both[] = {first[2 * y], first[2 * y + 1]};
        pool<2, net.first.channels>(both, pair, width - 2, tail.pooled(y));
        tail.add(y, least, [&](int x, const Answer &answer) {
            if (count < room)
                cells[count] = Cell{float(x), float(y - 4), answer};
            count++;
        });
    }
    return count;
}

// ---- R-Net and O-Net ---------------------------------------------------------------------------

/// A square map through a convolution of `size` x `size`.
template <int side, int size, class Layer, class Number>
static void convolve_map(const Layer &layer, const Number *in, float *out,
                         const uint16_t *shorts = nullptr) {
    constexpr int row = side * Layer::step, left = side - size + 1;
    for (int y = 0; y < left; y++, out += left * Layer::channels) {
        const Number *rows[Layer::rows];
        for (int i = 0; i < Layer::rows; i++)
            rows[i] = in + (y * Layer::rows / size + i) * row;
        convolve(rows, left, layer, out, shorts);
    }
}

/// A square map, of the channels of a layer's output, pooled over `size` x `size`.
template <int side, int size, class Layer>
static void pool_map(const Layer &, const float *in, float *out) {
    constexpr int row = side * Layer::channels, left = (side - size + 1) / 2 + 1;
    for (int y = 0; y < left; y++, out += left * Layer::channels) {
        const float *rows[size];
        for (int i = 0; i < size; i++)
            rows[i] = in + (2 * y + i) * row;
        pool<size, Layer::channels>(rows, std::min(size, side - 2 * y), side, out);
    }
}

/// What the dense layers of a network see, from its first map, pooled. `spare`: room for two maps.
static void features(const RNet &net, const float *map, Maps &spare, float *out) {
    convolve_map<11, 3>(net.second, map, spare.one());
    pool_map<9, 3>(net.second, spare.one(), spare.other());
    convolve_map<4, 2>(net.third, spare.other(), out);
}

static void features(const ONet &net, const float *map, Maps &spare, float *out) {
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
    std::vector<float> maps_, features_, dense_, heads_;
};

/// Score candidates, given as (count, 4) left, top, right, bottom, the last two exclusive.
template <class Net>
static void score(const Picture &picture, const int32_t *corners, size_t count, const Net &net,
                  float, typename Net::Says *answers) {
    Group<Net> group(picture, net);
    for (size_t done = 0; done < count;) {
        const int some = int(std::min(size_t(group.MOST_AT_ONCE), count - done));
        for (int i = 0; i < some; i++) {
            group.begin(i, corners + 4 * (done + i));
            features(net, group.map(i), group.spare(), group.features_of(i));
        }
        group.finish(some, [&](int i, const auto &answer) { answers[done + i] = answer; });
        done += some;
    }
}

#ifdef BFLOAT16
/// R-Net guesses in bfloat16, and looks again in float32 where the guess comes near `least`.
static void score_by_guess(const Picture &picture, const int32_t *corners, size_t count,
                           const RNet &net, float least, Answer *answers) {
    Group<RNet> group(picture, net);
    const std::vector<uint16_t> second = shortened(net.second), third = shortened(net.third);
    std::vector<uint16_t> shorts(RNet::pooled_map + 16);
    for (size_t done = 0; done < count;) {
        const int some = int(std::min(size_t(group.MOST_AT_ONCE), count - done));
        Maps &spare = group.spare();
        for (int i = 0; i < some; i++) {
            group.begin(i, corners + 4 * (done + i));
            shorten(group.map(i), RNet::pooled_map, shorts.data());
            convolve_map<11, 3>(net.second, shorts.data(), spare.one(), second.data());
            pool_map<9, 3>(net.second, spare.one(), spare.other());
            shorten(spare.other(), 4 * 4 * net.second.channels, shorts.data());
            convolve_map<4, 2>(net.third, shorts.data(), group.features_of(i), third.data());
        }
        std::vector<int> near;
        group.finish(some, [&](int i, const Answer &answer) {
            answers[done + i] = answer;
            if (answer.surplus >= least - MARGIN)
                near.push_back(i);
        });
        for (size_t i = 0; i < near.size(); i++)
            features(net, group.map(near[i]), spare, group.features_of(int(i)));
        group.finish(int(near.size()),
                     [&](int i, const Answer &answer) { answers[done + near[i]] = answer; });
        done += some;
    }
}
#endif
