#pragma once

#include "resample.hpp"

#include <optional>
#include <vector>

namespace medplug {

// What a call becomes once its curves are looked up: words, and tones that make of them what is left. A table's entries
// stay as they are; what a sigmoid or a power gives is rounded to 2^-16 of its range.
struct CurvedValues {
    std::vector<std::uint16_t> words;
    StoredView<std::uint16_t> view;
    std::vector<Tone> before;
};

// Looks up stored integers where `how` picks channels and one of its tones has a table, a sigmoid or a power, which
// cost a pixel of the exact path more than the rest of its way. Nothing where there is none, where words do not hold
// what the curve gives, nor where the output reads little of the image. Throws std::bad_alloc.
template <class Stored>
std::optional<CurvedValues> curved_values(const StoredView<Stored>& stored, const Resampling& how,
                                          const OutputView& out);

} // namespace medplug
