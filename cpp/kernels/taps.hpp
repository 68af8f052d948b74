#pragma once

#include <cstdint>
#include <vector>

namespace medplug {

enum class Filter { nearest, linear, antialias };
enum class Border { edge, constant };

// One stored axis as the filter sees it; support is the triangle's half width in stored pixels, at least 1.
struct Axis {
    std::int64_t size;
    double support;
    Filter filter;
    Border border;

    std::int64_t max_taps() const noexcept;
};

// The stored pixels first .. first + count - 1 that one position reads, and the share of the whole weight
// that lies on them; the rest belongs to the border's constant.
struct Window {
    std::int64_t first = 0;
    std::int64_t count = 0;
    double inside = 0.0;
};

// Writes the weights of the window at `position`, at most axis.max_taps() of them, whose sum is
// window.inside.
Window weigh(double position, const Axis& axis, double* weights) noexcept;

// The windows of all output indices along one axis, for maps that treat each axis by itself.
struct TapTable {
    std::vector<Window> windows;
    std::vector<std::int64_t> offsets; // where each window's weights begin
    std::vector<double> weights;

    // Positions are step * index + shift for the indices 0 .. count - 1. Throws std::bad_alloc.
    TapTable(const Axis& axis, double step, double shift, std::int64_t count);

    const double* weights_of(std::int64_t index) const noexcept {
        return weights.data() + offsets[static_cast<std::size_t>(index)];
    }
    const Window& operator[](std::int64_t index) const noexcept { return windows[static_cast<std::size_t>(index)]; }

    // The stored pixels that any of the outputs begin .. end - 1 reads, as a window without weights.
    Window reach(std::int64_t begin, std::int64_t end) const noexcept;
};

} // namespace medplug
