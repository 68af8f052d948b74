#include "column_pairs.hpp"

#include "lerp_channel.hpp"

#include <algorithm>

namespace medplug {

ColumnPairs::ColumnPairs(const TapTable& taps, std::int64_t outputs, std::int64_t columns) {
    const std::int64_t padded = (outputs + kPairPad - 1) / kPairPad * kPairPad;
    for (std::int64_t x = 0; x < padded; ++x) {
        const std::int64_t output = std::min(x, outputs - 1);
        const Window& window = taps[output];
        const std::int64_t first = window.count == 0 ? 0 : window.first;
        // As if the window lay inside wholly: what is outside counts later, by `partial`.
        double second = window.count == 2 ? taps.weights_of(output)[1] / window.inside : 0.0;
        if (first == columns - 1) { // the pair must end in the row
            second = 1.0;
        }
        at.push_back(static_cast<std::int32_t>(std::min(first, columns - 2)));
        weights.push_back(pair_weights(second));
        if (x < outputs && window.inside < 1.0) {
            partial.push_back({x, window.inside});
        }
    }
    constexpr std::int64_t reach = 64;
    for (std::int64_t x = 0; x < padded && columns >= reach; x += 16) {
        const auto [low, high] = std::minmax_element(at.begin() + x, at.begin() + x + 16);
        const std::int64_t start = std::min<std::int64_t>(*low, columns - reach);
        if (*high + 1 - start >= reach) {
            starts.clear();
            places.clear();
            return;
        }
        starts.push_back(static_cast<std::int32_t>(start));
        for (std::int64_t i = x; i < x + 16; ++i) {
            const auto place = static_cast<std::int16_t>(at[static_cast<std::size_t>(i)] - start);
            places.push_back(place);
            places.push_back(static_cast<std::int16_t>(place + 1));
        }
    }
}

} // namespace medplug
