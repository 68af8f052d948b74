#pragma once

#include "simd/kernels.hpp"
#include "tone.hpp"

#include <limits>
#include <optional>
#include <type_traits>

namespace medplug {

// How far an end of a window may lie from the nearest word, in widths of the window.
constexpr double kMostOff = 1.0 / (1 << 14);

// The tone as 16-bit words, for stored integers from `least` to `most`. Nothing where it is no clamped line, or where
// its window is wider than 2^15 - 1 stored values or too narrow for its ends to be words: that needs the exact path.
std::optional<WordTone> word_tone(const Tone& tone, std::int64_t least, std::int64_t most);

template <class Stored>
std::optional<WordTone> word_tone(const Tone& tone) {
    if constexpr (std::is_integral_v<Stored>) {
        return word_tone(tone, std::numeric_limits<Stored>::min(), std::numeric_limits<Stored>::max());
    } else {
        return std::nullopt;
    }
}

} // namespace medplug
