#include "tile_box.hpp"

#include <cmath>

namespace medplug {

namespace {

constexpr double kSlack = 1e-3; // what rounded positions may be off by, and more

using Matrix = std::array<std::array<double, 3>, 3>;

Matrix inverse(const Matrix& m) noexcept {
    Matrix result{};
    double determinant = 0.0;
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) {
            const std::size_t a = (i + 1) % 3, b = (i + 2) % 3, c = (j + 1) % 3, d = (j + 2) % 3;
            result[j][i] = m[a][c] * m[b][d] - m[a][d] * m[b][c];
        }
        determinant += i == 0 ? m[0][0] * result[0][0] + m[0][1] * result[1][0] + m[0][2] * result[2][0] : 0.0;
    }
    for (auto& row : result) {
        for (double& value : row) {
            value /= determinant;
        }
    }
    return result;
}

} // namespace

Shape TileBox::extent_of(const Affine& map, const Shape& size) noexcept {
    Shape result{};
    for (std::size_t i = 0; i < 3; ++i) {
        double travel = 0.0;
        for (std::size_t j = 0; j < 3; ++j) {
            travel += std::abs(map.linear[i][j]) * static_cast<double>(size[j] - 1);
        }
        result[i] = static_cast<std::int64_t>(std::min(travel, 1e6)) + 4; // both ends, their slack and a neighbour
    }
    return result;
}

TileBox::TileBox(const Affine& map, const Shape& begin, const Shape& end) noexcept {
    std::array<double, 3> start{};
    for (std::size_t i = 0; i < 3; ++i) {
        double low = map.shift[i];
        for (std::size_t j = 0; j < 3; ++j) {
            low += map.linear[i][j] * static_cast<double>(begin[j]);
        }
        start[i] = low;
        double high = low;
        for (std::size_t j = 0; j < 3; ++j) {
            const double travel = map.linear[i][j] * static_cast<double>(end[j] - 1 - begin[j]);
            (travel < 0.0 ? low : high) += travel;
        }
        first[i] = static_cast<std::int64_t>(std::floor(low - kSlack));
        extent[i] = static_cast<std::int64_t>(std::floor(high + kSlack)) + 2 - first[i];
        position[i] = start[i] - static_cast<double>(first[i]);
    }
    // A row is read by outputs up to one slice away, and less than one row above; o = inverse * (p - position) must
    // be an output of the tile. Positions that are a little off are outputs that may be far off.
    const Matrix back = inverse(map.linear);
    for (std::size_t j = 0; j < 3; ++j) {
        double off = kSlack * (std::abs(back[j][0]) + std::abs(back[j][1]) + std::abs(back[j][2]));
        for (std::size_t k = 0; k < 3; ++k) { // and so are those that the inverse, rounded, brings back
            const double there = back[j][0] * map.linear[0][k] + back[j][1] * map.linear[1][k] +
                                 back[j][2] * map.linear[2][k] - (j == k ? 1.0 : 0.0);
            off += std::abs(there) * static_cast<double>(end[k] - begin[k]);
        }
        if (!(off < static_cast<double>(end[j] - begin[j]))) { // as far as a tile: it says nothing
            bands_[j] = {-INFINITY, INFINITY, 0.0, 0.0, true};
            continue;
        }
        const double reach = std::abs(back[j][0]) + 0.5 * std::abs(back[j][1]) + kSlack + off;
        const double offset = back[j][0] * position[0] + back[j][1] * (position[1] - 0.5) + back[j][2] * position[2];
        double low = -reach + offset;
        double high = static_cast<double>(end[j] - 1 - begin[j]) + reach + offset;
        const double along = back[j][2];
        bands_[j].across = std::abs(along) > kPositionNoise;
        const double scale = bands_[j].across ? 1.0 / along : 1.0;
        low *= scale;
        high *= scale;
        bands_[j].low = std::min(low, high);
        bands_[j].high = std::max(low, high);
        bands_[j].slice = -back[j][0] * scale;
        bands_[j].row = -back[j][1] * scale;
    }
}

void TileBox::columns(std::int64_t slice, std::int64_t row, std::int64_t& from, std::int64_t& to) const noexcept {
    double low = 0.0, high = static_cast<double>(extent[2]);
    for (const Band& band : bands_) {
        const double moved = band.slice * static_cast<double>(slice) + band.row * static_cast<double>(row);
        if (band.across) {
            low = std::max(low, band.low + moved);
            high = std::min(high, band.high + moved);
        } else if (-moved < band.low || -moved > band.high) {
            high = -1.0;
        }
    }
    from = to = 0;
    if (low <= high) {
        from = static_cast<std::int64_t>(low);
        to = std::min(static_cast<std::int64_t>(high + kSlack) + 2, extent[2]);
    }
}

} // namespace medplug
