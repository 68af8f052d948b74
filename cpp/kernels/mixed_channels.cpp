#include "mixed_channels.hpp"

#include "whole_rows.hpp"
#include "word_tone.hpp"

#include <cmath>

namespace medplug {

namespace {

constexpr double kSteps = 128.0;          // per stored value: 255 of them fit the words' 15 bits
constexpr std::int32_t kWeight = 1 << 16; // what a weight of 1 is as a whole number

// Whether a row of the matrix is a mean of channels, or a part of one.
bool is_mean(const double* row, std::int64_t channels) noexcept {
    double sum = 0.0;
    for (std::int64_t k = 0; k < channels; ++k) {
        if (row[k] < 0.0) {
            return false;
        }
        sum += row[k];
    }
    return sum <= 1.0 + 1e-12;
}

// The tone over multiples of 1 / 128, which end at 255.
Tone over_steps(const Tone& tone) noexcept {
    Tone result = tone;
    const double first = tone.intercept, last = tone.slope * 255.0 + tone.intercept;
    result.slope = tone.slope / kSteps;
    result.low = std::max(tone.low, std::min(first, last));
    result.high = std::min(tone.high, std::max(first, last));
    return result;
}

void mix(const StoredView<std::uint8_t>& stored, const double* row, std::uint16_t* to) {
    std::vector<std::int32_t> weights;
    for (std::int64_t k = 0; k < stored.channels; ++k) {
        weights.push_back(static_cast<std::int32_t>(std::nearbyint(row[k] * kSteps * kWeight)));
    }
    const auto& [slices, rows, columns] = stored.shape;
    std::vector<std::int32_t> sums(static_cast<std::size_t>(columns));
    for (std::int64_t s = 0; s < slices; ++s) {
        for (std::int64_t r = 0; r < rows; ++r, to += columns) {
            std::fill(sums.begin(), sums.end(), kWeight / 2);
            for (std::int64_t k = 0; k < stored.channels; ++k) {
                const std::byte* from = stored.row(k, s, r);
                const std::int32_t weight = weights[static_cast<std::size_t>(k)];
                for (std::int64_t x = 0; x < columns; ++x) {
                    sums[static_cast<std::size_t>(x)] +=
                        weight * static_cast<std::int32_t>(load<std::uint8_t>(from + x * stored.strides[2]));
                }
            }
            for (std::int64_t x = 0; x < columns; ++x) {
                to[x] = static_cast<std::uint16_t>(sums[static_cast<std::size_t>(x)] / kWeight);
            }
        }
    }
}

} // namespace

std::optional<MixedChannels> mixed_channels(const StoredView<std::uint8_t>& stored, const Resampling& how,
                                            std::int64_t channels) {
    if (how.matrix == nullptr || how.filter == Filter::nearest || !fits_memory(stored)) {
        return std::nullopt;
    }
    MixedChannels mixed;
    for (std::int64_t c = 0; c < channels; ++c) {
        const Tone tone = over_steps(how.before[c]);
        const bool curved = tone.sigmoid || (tone.gamma != 1.0 && tone.low < tone.high);
        if (!is_mean(how.matrix + c * stored.channels, stored.channels) || tone.table != nullptr ||
            !(curved || word_tone<std::uint16_t>(tone))) {
            return std::nullopt;
        }
        mixed.before.push_back(tone);
    }
    const auto& [slices, rows, columns] = stored.shape;
    const std::int64_t plane = slices * rows * columns;
    mixed.pixels.resize(static_cast<std::size_t>(channels * plane));
    for (std::int64_t c = 0; c < channels; ++c) {
        mix(stored, how.matrix + c * stored.channels, mixed.pixels.data() + c * plane);
    }
    mixed.view = {reinterpret_cast<const std::byte*>(mixed.pixels.data()),
                  channels,
                  2 * plane,
                  stored.shape,
                  {2 * rows * columns, 2 * columns, 2}};
    return mixed;
}

} // namespace medplug
