#pragma once

#include "taps.hpp"

#include <algorithm>
#include <cmath>

namespace medplug {

// One stored axis: how wide its windows are and how far positions may go before nothing changes any more.
struct PlaneAxis {
    double support;
    double low, high;
    std::int64_t last;
    std::int64_t taps;     // that a window may have
    std::int64_t multiple; // of how many pixels a tile reads, where it can
    std::int64_t margin;   // of pixels that those of the windows are made of

    PlaneAxis(const Axis& axis, std::int64_t reads, bool smoothed) noexcept
        : support(axis.support), low(axis.border == Border::edge ? 0.0 : -axis.support - 1.0),
          high(static_cast<double>(axis.size - 1) + (axis.border == Border::edge ? 0.0 : axis.support + 1.0)),
          last(axis.size - 1), taps(static_cast<std::int64_t>(std::ceil(2.0 * axis.support))), multiple(reads),
          margin(smoothed ? 1 : 0) {}

    // How many pixels lie beneath positions that `travel` apart, with one to spare at either end.
    std::int64_t reach(double travel) const noexcept {
        return static_cast<std::int64_t>(std::ceil(std::min(travel, high - low) + 2.0 * support)) + 5 + 2 * margin +
               multiple;
    }
};

// The stored pixels beneath a tile, which may lie outside the image.
struct Reach {
    std::int64_t first, count;
};

// Where a tile's outputs lie in the plane beneath: a parallelogram, of which each edge is a line from row `low` to row
// `high`, at the columns `start + slope * row`.
class Outline {
  public:
    // Corners, one after the other around it.
    Outline(const std::array<double, 4>& rows, const std::array<double, 4>& columns) noexcept {
        for (std::size_t i = 0; i < 4; ++i) {
            const std::size_t j = (i + 1) % 4;
            const double rise = rows[j] - rows[i];
            Edge& edge = edges_[i];
            edge.low = std::min(rows[i], rows[j]);
            edge.high = std::max(rows[i], rows[j]);
            edge.slope = rise == 0.0 ? 0.0 : (columns[j] - columns[i]) / rise; // the edges beside it know its ends
            edge.start = columns[i] - edge.slope * rows[i];
        }
    }

    // Between which columns the tile lies in the rows from `low` to `high`; the first is the larger where it does not.
    std::pair<double, double> between(double low, double high) const noexcept {
        double left = INFINITY, right = -INFINITY;
        for (const Edge& edge : edges_) {
            const double from = std::max(low, edge.low), to = std::min(high, edge.high);
            const double one = edge.start + edge.slope * from, other = edge.start + edge.slope * to;
            left = from <= to ? std::min(left, std::min(one, other)) : left;
            right = from <= to ? std::max(right, std::max(one, other)) : right;
        }
        return {left, right};
    }

  private:
    struct Edge {
        double low, high, start, slope;
    };
    std::array<Edge, 4> edges_;
};

} // namespace medplug
