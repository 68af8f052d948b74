#pragma once

#include "resample.hpp"
#include "simd/kernels.hpp"

#include <limits>
#include <type_traits>
#include <vector>

namespace medplug {

// An output channel whose stored values are interpolated as 16-bit words. The sums are whole numbers: minus
// 2^kWeightBits times (word - center), where `center` keeps what the window is about small, and so exact as floats.
struct LerpChannel {
    std::int64_t stored; // the channel that it comes from
    WordTone tone;
    bool clamps; // otherwise the words are the stored values as signed 16 bits
    std::int32_t center;
    double gain, bias; // output = clamp(sum * gain + bias, low, high)
    float low, high;
    double fill; // the border's constant, as a sum
    bool fill_is_word;
    std::int32_t fill_word; // or the nearest word there is
    const Tone* finish;     // or null: a curve that is more than a clamped line, applied to what `gain` and `bias` give

    std::int32_t word(std::int32_t value) const noexcept;

    // What the kernels add to a sum of words.
    std::int32_t center_sum() const noexcept { return center * (1 << kWeightBits); }
};

constexpr int kNegatedOne = -(1 << kWeightBits);

// One for each output channel, or none where a channel mixes stored ones, where `before` is no clamped line, or where
// its window holds more than 2^15 - 1 stored values but not all.
std::vector<LerpChannel> lerp_channels(const Resampling& how, std::int64_t outputs, std::int64_t stored,
                                       std::int64_t least, std::int64_t most);

template <class Stored>
std::vector<LerpChannel> lerp_channels(const Resampling& how, std::int64_t outputs, std::int64_t stored) {
    using Limits = std::numeric_limits<Stored>;
    static_assert(std::is_integral_v<Stored>);
    return lerp_channels(how, outputs, stored, Limits::min(), Limits::max());
}

// Weights of a pair, first + second = 1, as the kernels take them.
std::int32_t pair_weights(double second) noexcept;

} // namespace medplug
