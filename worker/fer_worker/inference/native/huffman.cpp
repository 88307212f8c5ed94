#include "huffman.hpp"

#include <algorithm>
#include <memory>

namespace {

constexpr int MOST_EXTRANEOUS = 4;

/// Units that may be missing at the end of a file that is cut off, by two bytes that can hold as
/// many: of more than one block, and of a single one.
constexpr int MOST_CUT = 1, MOST_CUT_BLOCKS = 3;
/// Bytes that may lie between the last unit and a marker. Some cameras leave 1 to 4 there; behind
/// more of them hides a lost packet.

constexpr int TABLE = 16 + 256, LOOKED_UP = 1 << 16;

/// By the next 16 bits: a code's length (0: there is no such code) and its symbol.
class Codes {
  public:
    explicit Codes(const uint8_t *table) : codes_(LOOKED_UP) {
        const uint8_t *symbol = table + 16;
        int64_t code = 0;
        for (int length = 1; length <= 16; length++) {
            const int64_t span = LOOKED_UP >> length;
            for (int i = 0; i < table[length - 1] && code + span <= LOOKED_UP; i++, code += span) {
                const Code found{uint8_t(length), *symbol++};
                std::fill(codes_.begin() + code, codes_.begin() + code + span, found);
            }
        }
    }

    struct Code {
        uint8_t length, symbol;
    };
    Code operator[](uint32_t bits) const { return codes_[bits]; }

  private:
    std::vector<Code> codes_;
};

/// The bits of an interval, its stuffing taken out; behind its end there are zeros.
class Bits {
  public:
    Bits(const uint8_t *from, const uint8_t *end) {
        bytes_.reserve(size_t(end - from) + ZEROS);
        for (; from < end; from++) {
            bytes_.push_back(*from);
            if (*from == 0xFF)
                from++; // the zero behind it
        }
        size_ = int64_t(bytes_.size());
        bytes_.resize(bytes_.size() + ZEROS);
    }

    int64_t place() const { return place_; }
    int64_t size() const { return 8 * size_; }
    int64_t bytes_left() const { return size_ - (place_ + 7) / 8; }
    void skip(int count) { place_ += count; }

    uint32_t next_16() const {
        const uint8_t *at = &bytes_[size_t(place_ / 8)];
        const uint32_t word = uint32_t(at[0]) << 16 | uint32_t(at[1]) << 8 | at[2];
        return word >> (8 - place_ % 8) & 0xFFFF;
    }

    /// Add what was read, with its stuffing.
    void append_read(std::vector<uint8_t> &to) const {
        for (int64_t i = 0; i < (place_ + 7) / 8; i++) {
            to.push_back(bytes_[size_t(i)]);
            if (bytes_[size_t(i)] == 0xFF)
                to.push_back(0);
        }
    }

  private:
    static constexpr int ZEROS = 4096; // more than a unit can have: 10 blocks of 64 times 32 bits
    std::vector<uint8_t> bytes_;
    int64_t size_, place_ = 0;
};

/// Read one block; false where its bits mean nothing.
bool read_block(Bits &bits, const Codes &dc, const Codes &ac) {
    const Codes::Code first = dc[bits.next_16()];
    if (!first.length || first.symbol > 11)
        return false;
    bits.skip(first.length + first.symbol);
    for (int k = 1; k < 64; k++) {
        const Codes::Code code = ac[bits.next_16()];
        if (!code.length)
            return false;
        const int run = code.symbol >> 4, size = code.symbol & 15;
        bits.skip(code.length + size);
        if (!size && run < 15)
            return true; // end of block
        k += run;
        if (k > 63)
            return false;
    }
    return true;
}

using Tables = std::unique_ptr<const Codes>[8];

/// Read one unit; false where its bits mean nothing.
bool read_unit(const Scan &scan, Bits &bits, const Tables &codes) {
    for (int64_t block = 0; block < scan.blocks_per_unit; block++)
        if (!read_block(bits, *codes[scan.blocks[2 * block]],
                        *codes[4 + scan.blocks[2 * block + 1]]))
            return false;
    return true;
}

/// Whether the bits behind the last unit are units, too, and nothing else: then the picture is
/// displaced by them. Bits of 1 fill the last byte up.
bool continues(const Scan &scan, Bits bits, const Tables &codes) {
    if (bits.bytes_left() <= 0)
        return false;
    while (bits.bytes_left() > 0)
        if (!read_unit(scan, bits, codes))
            return false;
    const int64_t filling = bits.size() - bits.place();
    return filling >= 0 && bits.next_16() >> (16 - filling) == (1u << filling) - 1;
}

/// Where the next marker is: a 0xFF that no zero follows. Fill bytes belong to it.
const uint8_t *next_marker(const uint8_t *from, const uint8_t *end) {
    while ((from = std::find(from, end, 0xFF)) + 1 < end && from[1] == 0)
        from += 2;
    return from;
}

/// Whether coded data follows at a restart marker that no unit is left for.
bool has_rest(const uint8_t *marker, const uint8_t *end) {
    while (marker < end && *marker == 0xFF)
        marker++;
    if (marker >= end || *marker < 0xD0 || *marker > 0xD7)
        return false;
    return next_marker(marker + 1, end) - marker - 1 > MOST_EXTRANEOUS;
}

} // namespace

int64_t read_scan(const Scan &scan, std::vector<uint8_t> &clean) {
    Tables codes;
    for (int64_t i = 0; i < 2 * scan.blocks_per_unit; i++) {
        const int table = 4 * int(i % 2) + scan.blocks[i];
        if (!codes[table])
            codes[table] = std::make_unique<const Codes>(scan.tables + TABLE * table);
    }

    const uint8_t *at = scan.data, *end = scan.data + scan.size;
    const int most_cut = scan.blocks_per_unit > 1 ? MOST_CUT : MOST_CUT_BLOCKS;
    for (int64_t done = 0, restarts = 0;;) {
        const uint8_t *marker = next_marker(at, end);
        Bits bits(at, marker);
        const int64_t last =
            scan.interval ? std::min(done + scan.interval, scan.units) : scan.units;
        for (; done < last; done++) {
            const bool may_be_cut = scan.is_cut && scan.units - done <= most_cut;
            if (bits.place() >= bits.size() && !may_be_cut)
                return done;
            if (!read_unit(scan, bits, codes))
                return done;
            if (bits.place() > bits.size() && !may_be_cut)
                return done;
        }
        bits.append_read(clean);
        if (done == scan.units) {
            const bool is_whole = bits.bytes_left() <= MOST_EXTRANEOUS && !has_rest(marker, end) &&
                                  (scan.interval || !continues(scan, bits, codes));
            return is_whole ? done : std::max<int64_t>(done - 1, 0);
        }
        while (marker < end && *marker == 0xFF)
            marker++;
        if (bits.bytes_left() > MOST_EXTRANEOUS || marker >= end || *marker != 0xD0 + restarts % 8)
            return done - 1;
        clean.insert(clean.end(), {0xFF, *marker});
        at = marker + 1;
        restarts++;
    }
}
