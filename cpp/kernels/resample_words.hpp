#pragma once

#include "resample.hpp"

namespace medplug {

// Like resample_separable, in 16-bit words: false, and nothing written, where the call is not of that kind. Each weight
// along the rows is rounded to at most 2^-15, each end of the window to 2^-14 of its width; a flat image stays flat.
template <class Stored>
bool resample_words(const StoredView<Stored>& stored, const Resampling& how, const TapTables& tables,
                    const OutputView& out, int threads);

} // namespace medplug
