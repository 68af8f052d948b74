#pragma once

#include "resample.hpp"
#include "simd/kernels.hpp"

#include <cmath>
#include <optional>

namespace medplug {

// Which weights make a smoothing of pixels half as large, read between by a straight line, nearest to the triangle of
// that half width in stored pixels.
Smoothing smoothing_of(double support) noexcept;

// The image that outputs are made from: the stored one; or, in the fast quality, one half as large that was smoothed,
// so that no more than the four pixels around a position are asked for.
struct Level {
    Affine map;
    std::array<Axis, 3> axes;
    bool smoothed;
    Smoothing rows{}, columns{};

    static Level stored(const Resampling& how, const Shape& shape) noexcept {
        return {how.to_stored, how.axes(shape), false};
    }
    // Nothing where it does not pay, or would be too far from the exact answer.
    static std::optional<Level> half(const Resampling& how, const Shape& shape) noexcept;
};

} // namespace medplug
