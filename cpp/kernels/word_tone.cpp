#include "word_tone.hpp"

#include <cmath>

namespace medplug {

std::optional<WordTone> word_tone(const Tone& tone, std::int64_t least, std::int64_t most) {
    constexpr double word_max = 32767.0;
    constexpr double roomy = 16383.0; // leaves the weights of a sum in 32 bits one bit more
    if (tone.table != nullptr || tone.sigmoid || tone.gamma != 1.0 || tone.slope == 0.0) {
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
    int shift = 0;
    const auto near_whole = [](double value) { return std::abs(value - std::nearbyint(value)) < 1e-7; };
    while (!(near_whole(std::ldexp(from, shift)) && near_whole(std::ldexp(upto, shift))) &&
           std::ldexp(width, shift + 1) <= roomy) {
        ++shift;
    }
    WordTone words{};
    words.flip = least < 0 ? std::numeric_limits<std::int16_t>::min() : std::int16_t{0};
    words.base = static_cast<std::uint16_t>(base + (least < 0 ? 32768.0 : 0.0));
    words.cap = static_cast<std::uint16_t>(width);
    words.shift = shift;
    words.low = static_cast<std::int16_t>(std::nearbyint(std::ldexp(from - base, shift)));
    words.high = static_cast<std::int16_t>(std::nearbyint(std::ldexp(upto - base, shift)));
    words.plain = shift == 0 && words.low == 0 && words.high == static_cast<std::int16_t>(words.cap);
    words.gain = std::ldexp(tone.slope * tone.scale, -shift);
    words.bias = (tone.slope * base + tone.intercept) * tone.scale + tone.offset;
    return words;
}

} // namespace medplug
