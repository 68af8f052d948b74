#pragma once

#include "affine.hpp"

namespace medplug {

// The stored pixels that tiles of the output read: a box around each, and in it the part of each row that matters.
class TileBox {
  public:
    // For tiles of at most `size` outputs: how many pixels the largest box has along each axis.
    static Shape extent_of(const Affine& map, const Shape& size) noexcept;

    TileBox(const Affine& map, const Shape& begin, const Shape& end) noexcept;

    // The columns that row `row`, and the one below it, are read at, from and to; empty where to <= from. All in
    // pixels of the box.
    void columns(std::int64_t slice, std::int64_t row, std::int64_t& from, std::int64_t& to) const noexcept;

    Shape first; // stored pixel of the box's first one; may lie outside
    Shape extent;
    std::array<double, 3> position; // of the tile's first output, relative to `first`

  private:
    // An output axis as a band across the slice: low + slice * s + row * r <= column <= high + ..., or where the axis
    // does not move along the columns, low <= ... <= high.
    struct Band {
        double low, high, slice, row;
        bool across;
    };
    std::array<Band, 3> bands_;
};

} // namespace medplug
