#pragma once

#include "kernels/view.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <type_traits>

// What the libFuzzer targets share: bytes become numbers, and images of every memory layout that NumPy makes.
namespace medplug::fuzzing {

// Bytes in order, then zeros: a short input is a plain call. tests/fuzz/seeds.py writes the same order.
class Input {
  public:
    Input(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), size_(size) {}

    std::uint8_t byte() { return at_ < size_ ? bytes_[at_++] : std::uint8_t{0}; }
    bool flag() { return (byte() & 1) != 0; }
    std::int64_t between(std::int64_t low, std::int64_t high) { return low + byte() % (high - low + 1); }
    // -128 to 127 and 255 parts of one
    double number() {
        const double whole = static_cast<std::int8_t>(byte());
        return whole + byte() / 256.0;
    }
    // Any finite double that the bindings accept, with all its bits.
    double wild() {
        double value;
        std::uint8_t raw[sizeof value];
        for (std::uint8_t& one : raw) {
            one = byte();
        }
        std::memcpy(&value, raw, sizeof value);
        return std::abs(value) <= 1e100 ? value : 0.0;
    }

  private:
    const std::uint8_t* bytes_;
    std::size_t size_;
    std::size_t at_ = 0;
};

[[noreturn]] inline void stop(const char* what) {
    std::fprintf(stderr, "medplug fuzzing: %s\n", what);
    std::abort();
}

// A view and memory that ends exactly where the view does, so that one byte too far is seen.
template <class Stored>
struct Image {
    std::unique_ptr<std::byte[]> memory;
    StoredView<Stored> view;
    double low = INFINITY, high = -INFINITY; // of all finite values
    bool finite = true;
    bool tame = true; // so small that no step of a tone below overflows a float

    Image(Input& input, std::int64_t channels, const Shape& shape) : view{nullptr, channels, 0, shape, {}} {
        const std::array<std::int64_t, 4> sizes{channels, shape[0], shape[1], shape[2]};
        std::array<std::int64_t, 4> strides{};
        std::int64_t dense = sizeof(Stored), below = 0, above = sizeof(Stored);
        for (std::size_t axis = 4; axis-- > 0;) {
            const std::int64_t kind = input.between(0, 7);
            strides[axis] = kind < 4    ? dense
                            : kind == 4 ? -dense
                            : kind == 5 ? 0
                            : kind == 6 ? dense + 1 // no multiple of the item's size
                                        : input.between(-128, 127);
            const std::int64_t reach = strides[axis] * (sizes[axis] - 1);
            (reach < 0 ? below : above) += reach;
            dense *= sizes[axis];
        }
        const std::int64_t lead = input.between(0, 3); // alignment
        const std::int64_t size = lead + above - below;
        memory = std::make_unique<std::byte[]>(static_cast<std::size_t>(size));
        // In any four bytes of this mask lies a float of at most 102287 either way.
        const int mask = std::is_same_v<Stored, float> && !input.flag() ? 0xc7 : 0xff;
        const std::array<std::uint8_t, 16> pattern = pattern_of(input);
        for (std::int64_t i = 0; i < size; ++i) { // stretched over the memory without a short period
            const auto index = static_cast<std::size_t>(i);
            const unsigned value = pattern[index % 16] * (1u + static_cast<unsigned>(index / 16));
            memory[index] = static_cast<std::byte>(value & static_cast<unsigned>(mask));
        }
        view.origin = memory.get() + lead - below;
        view.channel_stride = strides[0];
        view.strides = {strides[1], strides[2], strides[3]};
        look();
    }

    static std::array<std::uint8_t, 16> pattern_of(Input& input) {
        std::array<std::uint8_t, 16> pattern{};
        for (std::uint8_t& one : pattern) {
            one = input.byte();
        }
        return pattern;
    }

    void look() {
        for (std::int64_t c = 0; c < view.channels; ++c) {
            for (std::int64_t s = 0; s < view.shape[0]; ++s) {
                for (std::int64_t r = 0; r < view.shape[1]; ++r) {
                    for (std::int64_t x = 0; x < view.shape[2]; ++x) {
                        see(static_cast<double>(load<Stored>(view.row(c, s, r) + x * view.strides[2])));
                    }
                }
            }
        }
    }

    void see(double value) {
        finite = finite && std::isfinite(value);
        tame = tame && std::abs(value) <= 2e5;
        if (std::isfinite(value)) {
            low = std::min(low, value);
            high = std::max(high, value);
        }
    }
};

// Calls visit with a value of the item type that the input names.
template <class Visit>
void with_stored_type(Input& input, const Visit& visit) {
    switch (input.between(0, 4)) {
    case 0:
        return visit(std::uint8_t{});
    case 1:
        return visit(std::int8_t{});
    case 2:
        return visit(std::uint16_t{});
    case 3:
        return visit(std::int16_t{});
    default:
        return visit(float{});
    }
}

} // namespace medplug::fuzzing
