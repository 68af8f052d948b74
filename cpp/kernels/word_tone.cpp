#include "word_tone.hpp"

#include <cmath>

namespace medplug {

std::optional<WordTone> word_tone(const Tone& tone, std::int64_t least, std::int64_t most) {
    constexpr double word_max = 32767.0;
    constexpr double kNoise = 1e-7; // of words: what rounding makes of an end that is a stored value
    if (!tone.is_clamped_line() || tone.slope == 0.0) {
        return std::nullopt;
    }
    double from = (tone.low - tone.intercept) / tone.slope;
    double upto = (tone.high - tone.intercept) / tone.slope;
    if (tone.slope < 0.0) {
        std::swap(from, upto);
    }
    from = std::max(from, static_cast<double>(least));
    upto = std::min(upto, static_cast<double>(most));
    if (!(from < upto)) { // one value everywhere, or none
        return std::nullopt;
    }
    const double base = std::floor(from);
    const double width = std::ceil(upto - base);
    if (width > word_max) {
        return std::nullopt;
    }
    // The ends of the window may lie between two stored values: as many more bits as the word holds, or as they need.
    // The words next to them lie inside, so that nothing leaves the clamp.
    int shift = 0;
    double low = 0.0, high = 0.0, off = 0.0;
    for (;; ++shift) {
        low = std::ceil(std::ldexp(from - base, shift) - kNoise);
        high = std::floor(std::ldexp(upto - base, shift) + kNoise);
        off = std::max(low - std::ldexp(from - base, shift), std::ldexp(upto - base, shift) - high);
        if (off <= kNoise || std::ldexp(width, shift + 1) > word_max) {
            break;
        }
    }
    // A window narrower than the stored values lie apart, a step for one, has no words that its ends come close to.
    if (off > std::max(kNoise, std::ldexp(upto - from, shift) * kMostOff)) {
        return std::nullopt;
    }
    WordTone words{};
    words.flip = least < 0 ? std::numeric_limits<std::int16_t>::min() : std::int16_t{0};
    words.base = static_cast<std::uint16_t>(base + (least < 0 ? 32768.0 : 0.0));
    words.cap = static_cast<std::uint16_t>(width);
    words.shift = shift;
    words.low = static_cast<std::int16_t>(low);
    words.high = static_cast<std::int16_t>(high);
    words.plain = shift == 0 && words.low == 0 && words.high == static_cast<std::int16_t>(words.cap);
    words.gain = std::ldexp(tone.slope * tone.scale, -shift);
    words.bias = (tone.slope * base + tone.intercept) * tone.scale + tone.offset;
    return words;
}

} // namespace medplug
