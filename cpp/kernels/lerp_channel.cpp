#include "lerp_channel.hpp"

#include "word_channels.hpp"
#include "word_tone.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

namespace medplug {

namespace {

// The words are the stored values themselves, where the clamp leaves all of these as they are.
std::optional<WordTone> unclamped(const Tone& tone, std::int64_t least, std::int64_t most) noexcept {
    const double one_end = tone.slope * static_cast<double>(least) + tone.intercept;
    const double other_end = tone.slope * static_cast<double>(most) + tone.intercept;
    if (std::min(one_end, other_end) < tone.low || std::max(one_end, other_end) > tone.high) {
        return std::nullopt;
    }
    const bool flips = most > std::numeric_limits<std::int16_t>::max();
    WordTone words{};
    words.flip = flips ? std::numeric_limits<std::int16_t>::min() : std::int16_t{0};
    words.gain = tone.slope * tone.scale;
    words.bias = (tone.slope * (flips ? 32768.0 : 0.0) + tone.intercept) * tone.scale + tone.offset;
    return words;
}

// The word in the middle of what the curve after the resampling tells apart.
std::int32_t middle_word(const WordTone& words, const Tone& after) noexcept {
    const bool low = std::isfinite(after.low), high = std::isfinite(after.high);
    if (!(low || high) || after.slope == 0.0) {
        return 0;
    }
    const double middle = low && high ? (after.low + after.high) / 2.0 : low ? after.low : after.high;
    const double word = ((middle - after.intercept) / after.slope - words.bias) / words.gain;
    return static_cast<std::int32_t>(std::clamp(std::nearbyint(word), -32767.0, 32767.0));
}

} // namespace

std::int32_t LerpChannel::word(std::int32_t value) const noexcept {
    const auto turned =
        static_cast<std::uint16_t>(static_cast<std::uint16_t>(value) ^ static_cast<std::uint16_t>(tone.flip));
    if (!clamps) {
        return static_cast<std::int16_t>(turned);
    }
    const std::int32_t above = std::clamp<std::int32_t>(turned - tone.base, 0, tone.cap);
    return tone.plain ? above : std::clamp<std::int32_t>(above << tone.shift, tone.low, tone.high);
}

std::vector<LerpChannel> lerp_channels(const Resampling& how, std::int64_t outputs, std::int64_t stored,
                                       std::int64_t least, std::int64_t most) {
    const auto picked = picked_channels(how.matrix, outputs, stored);
    if (picked.empty()) {
        return {};
    }
    std::vector<LerpChannel> channels;
    for (std::int64_t c = 0; c < outputs; ++c) {
        const Tone& before = how.before[c];
        LerpChannel channel{};
        channel.stored = picked[static_cast<std::size_t>(c)];
        if (!before.is_clamped_line()) {
            return {};
        }
        auto words = unclamped(before, least, most);
        channel.clamps = !words;
        if (!words) {
            words = word_tone(before, least, most);
        }
        if (!words || words->gain == 0.0) {
            return {};
        }
        channel.tone = *words;
        const bool line = how.after[c].is_clamped_line();
        const Tone after = line ? how.after[c] : Tone{};
        channel.finish = line ? nullptr : &how.after[c];
        channel.center = middle_word(channel.tone, after);

        const double gain = after.slope * after.scale;
        const double center = channel.center * channel.tone.gain + channel.tone.bias;
        channel.gain = channel.tone.gain * gain / kNegatedOne;
        channel.bias = (center * after.slope + after.intercept) * after.scale + after.offset;
        channel.fill = (how.fill[c] - center) / channel.tone.gain * kNegatedOne;
        const double word = (how.fill[c] - channel.tone.bias) / channel.tone.gain;
        const double nearest = std::clamp(std::nearbyint(word), -32768.0, 32767.0);
        channel.fill_word = static_cast<std::int32_t>(nearest);
        channel.fill_is_word = std::abs(word - nearest) < 1e-6;
        const double ends[] = {after.low * after.scale + after.offset, after.high * after.scale + after.offset};
        channel.low = static_cast<float>(std::min(ends[0], ends[1]));
        channel.high = static_cast<float>(std::max(ends[0], ends[1]));
        // What a float cannot hold, the exact path still can; an infinite end times zero is no number.
        if (!(std::abs(channel.fill) < 1e30 && std::abs(channel.gain) < 1e20 && std::abs(channel.bias) < 1e30) ||
            std::isnan(ends[0]) || std::isnan(ends[1])) {
            return {};
        }
        channels.push_back(channel);
    }
    return channels;
}

std::int32_t pair_weights(double second) noexcept {
    const auto upper = static_cast<std::int32_t>(std::nearbyint(second * kNegatedOne));
    const std::int32_t lower = kNegatedOne - upper;
    return static_cast<std::int32_t>((static_cast<std::uint32_t>(lower) & 0xffffu) | static_cast<std::uint32_t>(upper)
                                                                                         << 16);
}

} // namespace medplug
