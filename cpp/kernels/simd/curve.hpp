#pragma once

#include "kernels.hpp"
#include "lanes.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// A WordTone in registers.
struct Curve {
    Words flip, base, cap, low, high;
    int shift;

    explicit Curve(const WordTone& tone) noexcept
        : flip(broadcast(tone.flip)), base(broadcast(static_cast<std::int16_t>(tone.base))),
          cap(broadcast(static_cast<std::int16_t>(tone.cap))), low(broadcast(tone.low)), high(broadcast(tone.high)),
          shift(tone.shift) {}

    template <bool plain>
    Words of(Words stored) const noexcept {
        const Words word = lesser_unsigned(minus_saturated(exclusive_or(stored, flip), base), cap);
        return plain ? word : lesser(greater(shifted_left(word, shift), low), high);
    }
};

} // namespace

} // namespace medplug::MEDPLUG_ISA
