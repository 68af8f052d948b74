#pragma once

#include "resample.hpp"
#include "word_image.hpp"

#include <optional>

namespace medplug {

// Mixes stored bytes, where `how` mixes them by weights that are not negative and do not sum to more than 1: bytes that
// stand for colour, read as grey, are most of what is not DICOM. The mix is kept in 16-bit multiples of 1/128, so the
// rest of the pass runs in words.
//
// Nothing where a tone has a table, or is so steep anywhere that rounding the mix changes it by more than 2^-12 of its
// range; nor where more than a line follows a curve. Throws std::bad_alloc.
std::optional<WordImage> mixed_channels(const StoredView<std::uint8_t>& stored, const Resampling& how,
                                        std::int64_t channels);

} // namespace medplug
