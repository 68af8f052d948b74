#pragma once

#include "resample.hpp"

namespace medplug {

// Like resample_separable, for stored integers and at most two taps along each axis: false, and nothing written, where
// the call is not of that kind. Within a slice weights are rounded to 2^-15, four to an output: before `after`, an
// output is off by at most 2^-13 of the spread of the values around it (the border's constant included) and 2^-22 of
// the largest.
template <class Stored>
bool resample_volume(const StoredView<Stored>& stored, const Resampling& how, const TapTables& tables,
                     const OutputView& out, int threads);

} // namespace medplug
