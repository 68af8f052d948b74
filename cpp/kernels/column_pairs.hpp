#pragma once

#include "taps.hpp"

#include <vector>

namespace medplug {

// Where each output's two neighbours along a stored row are, and their weights, as the kernels take them.
struct ColumnPairs {
    struct Partial { // an output that lies partly, or wholly, outside
        std::int64_t column;
        double inside;
    };

    // `columns` are stored ones, at least two; each window holds at most two of them.
    ColumnPairs(const TapTable& taps, std::int64_t outputs, std::int64_t columns);

    std::vector<std::int32_t> at;
    std::vector<std::int32_t> weights;
    std::vector<std::int32_t> starts; // empty where some 16 outputs spread over more than 64 columns
    std::vector<std::int16_t> places;
    std::vector<Partial> partial;
};

} // namespace medplug
