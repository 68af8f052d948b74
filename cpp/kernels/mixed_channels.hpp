#pragma once

#include "resample.hpp"

#include <optional>
#include <vector>

namespace medplug {

// What a call becomes once its channels are mixed: bytes that stand for colour, read as grey, are most of what is not
// DICOM. Values of the mix are kept as 16-bit multiples of 1/128, so the rest of the pass runs in words.
struct MixedChannels {
    std::vector<std::uint16_t> pixels;
    StoredView<std::uint16_t> view;
    std::vector<Tone> before;
};

// Mixes stored bytes, where `how` mixes them by weights that are not negative and do not sum to more than 1, and its
// tones leave such values to the words; nothing otherwise. Throws std::bad_alloc.
std::optional<MixedChannels> mixed_channels(const StoredView<std::uint8_t>& stored, const Resampling& how,
                                            std::int64_t channels);

} // namespace medplug
