#pragma once

#include "resample.hpp"
#include "word_image.hpp"

#include <optional>

namespace medplug {

// Looks up stored integers where `how` picks channels and one of its tones has a table, a sigmoid or a power, which
// cost a pixel of the exact path more than the rest of its way; what is left runs in words. A table's whole-numbered
// entries stay as they are; what a sigmoid, a power, or a line beside one gives is rounded to 2^-16 of its range.
//
// Nothing where there is none, where words do not hold what the curve gives or the call does not run in words, where
// more than a line follows, nor where the output reads little of the image. Throws std::bad_alloc.
template <class Stored>
std::optional<WordImage> curved_values(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out);

} // namespace medplug
