#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace medplug {

using Shape = std::array<std::int64_t, 3>; // slices, rows, columns

// A stored image, [channels, slices, rows, columns]; a 2-D image has one slice. Strides are in bytes and may
// be negative, zero or no multiple of the item's size: NumPy makes all of these, and none needs a copy.
template <class Stored>
struct StoredView {
    const std::byte* origin;
    std::int64_t channels;
    std::int64_t channel_stride;
    Shape shape;
    std::array<std::int64_t, 3> strides;

    const std::byte* row(std::int64_t channel, std::int64_t slice, std::int64_t row_index) const noexcept {
        return origin + channel * channel_stride + slice * strides[0] + row_index * strides[1];
    }
};

// `count` images of one shape, `stride` bytes apart.
template <class Stored>
struct BatchView {
    StoredView<Stored> first;
    std::int64_t count;
    std::int64_t stride;
};

// The output, C-contiguous [channels, slices, rows, columns].
struct OutputView {
    float* origin;
    std::int64_t channels;
    Shape shape;

    float* row(std::int64_t channel, std::int64_t slice, std::int64_t row_index) const noexcept {
        return origin + ((channel * shape[0] + slice) * shape[1] + row_index) * shape[2];
    }
};

// memcpy is how C++ spells a load that may be unaligned; it compiles to one.
template <class Stored>
Stored load(const std::byte* address) noexcept {
    Stored value;
    std::memcpy(&value, address, sizeof value);
    return value;
}

} // namespace medplug
