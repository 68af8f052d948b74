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

// Whether half a step changes what the tone gives by no more than 2^-12 of its range. Powers are steepest at an end of
// theirs, sigmoids in the middle.
bool is_gentle(const Tone& tone) noexcept {
    constexpr double half = 0.5, last = 255.0 * kSteps, most = 1.0 / (1 << 12);
    const double range = std::abs(tone(last) - tone(0.0));
    if (tone.sigmoid) {
        return std::abs(tone.slope * tone.scale) * half <= most * range;
    }
    if (!(tone.low < tone.high) || tone.slope == 0.0) {
        return false;
    }
    // In words, where the clamp ends: what lies beyond does not change.
    const double ends[] = {(tone.low - tone.intercept) / tone.slope, (tone.high - tone.intercept) / tone.slope};
    const auto change = [&](double at) { return std::abs(tone(at + half) - tone(at - half)); };
    return std::max(change(ends[0]), change(ends[1])) <= most * range;
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

std::optional<WordImage> mixed_channels(const StoredView<std::uint8_t>& stored, const Resampling& how,
                                        std::int64_t channels) {
    if (how.matrix == nullptr || how.filter == Filter::nearest || !fits_memory(stored, channels)) {
        return std::nullopt;
    }
    std::vector<Tone> tones;
    for (std::int64_t c = 0; c < channels; ++c) {
        const Tone tone = over_steps(how.before[c]);
        const bool in_words = tone.is_clamped_line() ? word_tone<std::uint16_t>(tone).has_value()
                                                     : tone.table == nullptr && how.after[c].is_line();
        if (!is_mean(how.matrix + c * stored.channels, stored.channels) || !in_words || !is_gentle(tone)) {
            return std::nullopt;
        }
        tones.push_back(tone);
    }
    WordImage mixed(channels, stored.shape);
    mixed.before = std::move(tones);
    for (std::int64_t c = 0; c < channels; ++c) {
        mix(stored, how.matrix + c * stored.channels, mixed.plane(c));
    }
    return mixed;
}

} // namespace medplug
