#pragma once

#include "simd/kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace medplug {

// The triangle of one axis, over the pixels of a window, in 16-bit words. A pixel k that lies at K = k * slope + lead
// has the weight min(C + height + lead - K, K - (C - height + lead)), or 0 where that is negative, around a centre
// at C = centre * slope. The centre lies from support - 1 to support + 1 pixels behind the first one, so that nothing
// is negative, and both terms fit 16 bits unsigned; pixels too far for these have no weight anyway.
class Triangle {
  public:
    // For words up to `high`, whose weighted sum then fits 32 bits.
    Triangle(double support, double high, std::int64_t pixels) noexcept {
        const double steepest = 32750.0 * support / (support + 1.0); // 2 * (height + slope) fit 16 bits
        const double most_sum = support + 0.5; // of weights, in heights: a quarter is for rounding
        double height = std::min(steepest, 2147000000.0 / (std::max(high, 1.0) * most_sum));
        // C is a whole number, which moves a window as a whole. Many low weights feel that, so they are made higher and
        // cut down one by one: the golden part of a unit from pixel to pixel sees to it that no two are cut alike.
        double unit = 1.0;
        while (support > kFewPixels && 2.0 * height <= steepest) {
            height *= 2.0;
            unit *= 2.0;
        }
        if (unit > 1.0) {
            constexpr double golden = 0.381966;
            height = (std::floor(height / (support * unit) - golden) + golden) * support * unit;
            weights_.cut = static_cast<std::int16_t>(32768.0 / unit);
        }
        weights_.height = static_cast<std::int32_t>(height);
        const double slope = weights_.height / support;
        weights_.slope = static_cast<float>(slope);
        weights_.lead = static_cast<std::int32_t>(std::ceil(slope)) + 8; // positions are rounded, too
        const auto at = [&](std::int64_t pixel) {
            const double there = std::nearbyint(static_cast<double>(pixel) * slope) + weights_.lead;
            return static_cast<std::uint32_t>(std::min(there, 65535.0));
        };
        for (std::int64_t pair = 0; pair < (pixels + 1) / 2; ++pair) {
            const std::uint32_t both = at(2 * pair) | at(2 * pair + 1) << 16;
            pixels_[static_cast<std::size_t>(pair)] = static_cast<std::int32_t>(both);
        }
    }

    // Valid as long as this is.
    TriangleWeights weights() const noexcept {
        TriangleWeights result = weights_;
        result.pixels = pixels_.data();
        return result;
    }

  private:
    std::array<std::int32_t, kMostPairs> pixels_;
    TriangleWeights weights_{};
};

} // namespace medplug
