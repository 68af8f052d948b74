#pragma once

#include "view.hpp"

#include <algorithm>
#include <cmath>

namespace medplug {

// Matrices composed from many steps carry rounding noise: what moves a position by less than this, in pixels,
// is none.
constexpr double kPositionNoise = 1e-9;

// Maps an output index (slice, row, column) to a stored index: position[i] = sum_j linear[i][j] * index[j] +
// shift[i]. A 2-D map is a 3-D one whose slice axis is the identity.
struct Affine {
    std::array<std::array<double, 3>, 3> linear;
    std::array<double, 3> shift;
};

inline double determinant(const std::array<std::array<double, 3>, 3>& m) noexcept {
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

// Whether the linear part loses a dimension. Rows and columns are scaled to unit length first, one way and
// the other, so that neither tiny nor very unequal pixels look singular.
inline bool is_singular(const Affine& affine) noexcept {
    const auto unit_determinant = [&](std::array<std::array<double, 3>, 3> m) {
        for (auto& row : m) {
            const double length = std::hypot(row[0], row[1], row[2]);
            if (!(length > 0)) {
                return 0.0;
            }
            for (double& value : row) {
                value /= length;
            }
        }
        return std::abs(determinant(m));
    };
    // The quick answer: scaled by its largest entry, a row is at most a square root of 3 from unit length.
    constexpr double kLeast = 1e-12;
    auto scaled = affine.linear;
    for (auto& row : scaled) {
        const double largest = std::max({std::abs(row[0]), std::abs(row[1]), std::abs(row[2])});
        for (double& value : row) {
            value /= largest > 0 ? largest : 1.0;
        }
    }
    if (std::abs(determinant(scaled)) > 6.0 * kLeast) {
        return false;
    }
    auto transposed = affine.linear;
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) {
            transposed[i][j] = affine.linear[j][i];
        }
    }
    return std::max(unit_determinant(affine.linear), unit_determinant(transposed)) < kLeast;
}

// Finds, for each output axis, the one stored axis that it moves along. False where some axis moves along
// several.
inline bool find_stored_axes(const Affine& affine, const Shape& out, std::array<std::size_t, 3>& stored_axis) noexcept {
    std::array<int, 3> found_per_stored{}, found_per_output{};
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) {
            const double travel =
                std::abs(affine.linear[i][j]) * static_cast<double>(std::max<std::int64_t>(out[j] - 1, 1));
            if (travel > kPositionNoise) {
                stored_axis[j] = i;
                ++found_per_stored[i];
                ++found_per_output[j];
            }
        }
    }
    const std::array<int, 3> once{1, 1, 1};
    return found_per_stored == once && found_per_output == once;
}

} // namespace medplug
