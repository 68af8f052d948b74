#pragma once

#include "simd/kernels.hpp"
#include "tone.hpp"

#include <limits>
#include <optional>
#include <type_traits>

namespace medplug {

// The tone as 16-bit words, for stored integers from `least` to `most`. Nothing where it is no clamped line, or where
// its window is wider than 2^15 - 1 stored values: what a word cannot hold needs the exact path.
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
