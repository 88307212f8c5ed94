// The coded data of one scan of a sequential JPEG (ITU-T T.81, F.2), read without making pixels of
// it.

#pragma once

#include <cstdint>
#include <vector>

/// A scan, as its headers describe it.
struct Scan {
    const uint8_t *data; // from behind SOS to the marker that ends it
    int64_t size;
    const uint8_t *tables;   // 8 x 272: how many codes of 1 to 16 bits, and 256 symbols; 4 DC, 4 AC
    const uint8_t *blocks;   // of a minimum coded unit: which DC and which AC table each has
    int64_t blocks_per_unit; // 10 at most
    int64_t units, interval; // of the scan, and from one restart marker to the next (0: none)
    bool is_cut;             // no marker ends it: the file is cut off there
};

/// How many units are there before the first one that is damaged or missing.
///
/// clean: what a strict reader takes for the same scan: without the few bytes that some cameras
/// leave before a marker, and with zeros for what is cut off of the last units.
int64_t read_scan(const Scan &scan, std::vector<uint8_t> &clean);
