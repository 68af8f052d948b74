#pragma once

#include "resample.hpp"

namespace medplug {

// Like resample_affine, for volumes of stored integers, one pixel of reach to each side: false, and nothing written,
// where the call is not of that kind. Positions are off by at most 2^-14 pixels; before `after`, an output is off by at
// most 2^-12 of the spread of the values around it (the border's constant included) and 2^-22 of the largest.
template <class Stored>
bool resample_oblique(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads);

} // namespace medplug
