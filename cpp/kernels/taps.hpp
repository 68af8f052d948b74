#pragma once

#include <array>
#include <cstdint>
#include <memory>
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
    bool operator==(const Axis& other) const noexcept {
        return size == other.size && support == other.support && filter == other.filter && border == other.border;
    }
};

// Where along one stored axis the outputs 0 .. count - 1 lie: at step * index + shift.
struct AxisMap {
    Axis axis;
    double step, shift;
    std::int64_t count;

    bool operator==(const AxisMap& other) const noexcept {
        return axis == other.axis && step == other.step && shift == other.shift && count == other.count;
    }
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

    // Throws std::bad_alloc.
    explicit TapTable(const AxisMap& map);

    // The same, from what earlier calls left behind.
    static std::shared_ptr<const TapTable> kept(const AxisMap& map);

    std::size_t items() const noexcept { return windows.size() + weights.size(); }
    const double* weights_of(std::int64_t index) const noexcept {
        return weights.data() + offsets[static_cast<std::size_t>(index)];
    }
    const Window& operator[](std::int64_t index) const noexcept { return windows[static_cast<std::size_t>(index)]; }

    // The stored pixels that any of the outputs begin .. end - 1 reads, as a window without weights.
    Window reach(std::int64_t begin, std::int64_t end) const noexcept;
};

// One table for each axis of an output.
struct TapTables {
    std::array<AxisMap, 3> maps;
    std::array<std::shared_ptr<const TapTable>, 3> kept;

    explicit TapTables(const std::array<AxisMap, 3>& axis_maps)
        : maps(axis_maps), kept{TapTable::kept(maps[0]), TapTable::kept(maps[1]), TapTable::kept(maps[2])} {}

    const TapTable& operator[](std::size_t axis) const noexcept { return *kept[axis]; }
};

} // namespace medplug
