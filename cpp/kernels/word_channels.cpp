#include "word_channels.hpp"

#include <cmath>

namespace medplug {

std::vector<std::int64_t> picked_channels(const double* matrix, std::int64_t outputs, std::int64_t stored) {
    std::vector<std::int64_t> picked;
    for (std::int64_t c = 0; c < outputs; ++c) {
        std::int64_t found = matrix == nullptr ? c : -1;
        for (std::int64_t k = 0; matrix != nullptr && k < stored; ++k) {
            const double share = matrix[c * stored + k];
            if (share == 1.0 && found < 0) {
                found = k;
            } else if (share != 0.0) {
                return {};
            }
        }
        if (found < 0) {
            return {};
        }
        picked.push_back(found);
    }
    return picked;
}

bool copies_slices(const TapTable& slices, std::int64_t count) {
    for (std::int64_t s = 0; s < count; ++s) {
        if (slices[s].count != 1 || slices[s].inside != 1.0) {
            return false;
        }
    }
    return true;
}

void apply_after(const WordChannel& channel, const Tone& after, float* row, std::int64_t count) noexcept {
    for (std::int64_t x = 0; !channel.after_is_line && x < count; ++x) {
        row[x] = static_cast<float>(after(static_cast<double>(row[x])));
    }
}

template <class Stored>
std::vector<WordChannel> word_channels(const StoredView<Stored>& stored, const Resampling& how, std::int64_t channels) {
    const auto picked = picked_channels(how.matrix, channels, stored.channels);
    if (picked.empty()) {
        return {};
    }
    std::vector<WordChannel> result;
    for (std::int64_t c = 0; c < channels; ++c) {
        const auto tone = word_tone<Stored>(how.before[c]);
        if (!tone) {
            return {};
        }
        WordChannel channel{picked[static_cast<std::size_t>(c)], *tone, how.after[c].is_line(), 0.0, 0.0, 0.0};
        const Tone line = channel.after_is_line ? how.after[c] : Tone{};
        const double slope = line.slope * line.scale;
        channel.gain = tone->gain * slope;
        channel.bias = (tone->bias * line.slope + line.intercept) * line.scale + line.offset;
        channel.background = (how.fill[c] - tone->bias) * slope;
        // What a float cannot hold, the exact path still can.
        if (!(std::abs(channel.gain) < 1e30 && std::abs(channel.bias) < 1e30 && std::abs(channel.background) < 1e30)) {
            return {};
        }
        result.push_back(channel);
    }
    return result;
}

template std::vector<WordChannel> word_channels(const StoredView<std::uint8_t>&, const Resampling&, std::int64_t);
template std::vector<WordChannel> word_channels(const StoredView<std::int8_t>&, const Resampling&, std::int64_t);
template std::vector<WordChannel> word_channels(const StoredView<std::uint16_t>&, const Resampling&, std::int64_t);
template std::vector<WordChannel> word_channels(const StoredView<std::int16_t>&, const Resampling&, std::int64_t);

} // namespace medplug
