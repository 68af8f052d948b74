#pragma once

#include "resample.hpp"

namespace medplug {

// Like resample_affine, in 16-bit words, for maps that stay within the plane: false, and nothing written, where the
// call is not of that kind. Each weight is rounded to at most 2^-14 of
// their sum, and the middle of a window to 2^-14 of its support.
template <class Stored>
bool resample_tiles(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads);

// Many images at once, map by map; threads share the images, not the tiles.
template <class Stored>
bool resample_tiles_batch(const BatchView<Stored>& batch, const Resampling& how, const Affine* maps,
                          const OutputView& out, int threads);

} // namespace medplug
