#pragma once

#include "resample.hpp"

namespace medplug {

// Like resample_affine, for Filter::nearest and any map: each output is one stored pixel, so only those that are taken
// pass the tones. Gives the same bits.
template <class Stored>
void resample_nearest(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads);

} // namespace medplug
