#pragma once

#include "kernels.hpp"

#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)
#include <immintrin.h>
#endif

namespace medplug::MEDPLUG_ISA {

namespace {

// Sixteen outputs: GCC and Clang split the vectors into the registers that there are. Everything is rounded as it is
// written, never fused, so every set gives the same bits.
typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));

inline Floats floats(Ints values) noexcept {
    return __builtin_convertvector(values, Floats);
}
inline Ints truncated(Floats values) noexcept {
    return __builtin_convertvector(values, Ints);
}
inline Floats magnitude(Floats values) noexcept {
    return (Floats)((Ints)values & (Ints{} + 0x7fffffff));
}
#if defined(MEDPLUG_AVX512)
inline Floats lesser(Floats a, Floats b) noexcept {
    return (Floats)_mm512_min_ps((__m512)a, (__m512)b);
}
inline Floats greater(Floats a, Floats b) noexcept {
    return (Floats)_mm512_max_ps((__m512)a, (__m512)b);
}
inline Ints nearest(Floats values) noexcept {
    return (Ints)_mm512_cvtps_epi32((__m512)values);
}
#else
inline Floats lesser(Floats a, Floats b) noexcept {
    return a < b ? a : b;
}
inline Floats greater(Floats a, Floats b) noexcept {
    return a > b ? a : b;
}
// For 0 to 2^22: the sum's last bit is worth 1, so the addition itself rounds, halves to even.
inline Ints nearest(Floats values) noexcept {
    return (Ints)(values + 12582912.0F) - 0x4b400000;
}
#endif
inline Floats not_negative(Floats values) noexcept {
    return greater(values, Floats{});
}

constexpr Floats kLaneIndex = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// Where sixteen windows begin along one axis, in the tile's own pixels, and how far behind that their centres lie.
struct Begins {
    Ints first;
    Floats centre;
};

// In floats: a tile is at most some thousand pixels wide, so positions are good to 2^-13 of a pixel, usually to 2^-16.
template <bool edges>
inline Floats positions(const TileAxis& axis, std::int64_t x, std::int64_t width) noexcept {
    const float last = static_cast<float>(width - 1); // no lane beyond what the tile holds
    const Floats output = lesser(kLaneIndex + static_cast<float>(x), Floats{} + last);
    const Floats here = output * axis.step + axis.position;
    return edges ? greater(lesser(here, Floats{} + axis.high), Floats{} + axis.low) : here;
}

template <bool edges>
inline Begins begins(const TileAxis& axis, std::int64_t x, std::int64_t width) noexcept {
    const Floats here = positions<edges>(axis, x, width);
    // The first pixel beyond `here - support`, which is not negative, since the tile holds every window.
    const Ints first = truncated(here - axis.support) + 1;
    return {first, here - floats(first)};
}

} // namespace

} // namespace medplug::MEDPLUG_ISA
