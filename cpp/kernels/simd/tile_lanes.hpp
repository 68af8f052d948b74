// What the two kernels of tiles share: where outputs lie, and what they are made of.
#pragma once

#include "kernels.hpp"
#include "vectors.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

inline Ints truncated(Floats values) noexcept {
    return __builtin_convertvector(values, Ints);
}
#if defined(MEDPLUG_AVX512)
constexpr Floats kLaneIndex = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

inline Floats lesser(Floats a, Floats b) noexcept {
    return (Floats)_mm512_min_ps((__m512)a, (__m512)b);
}
inline Floats greater(Floats a, Floats b) noexcept {
    return (Floats)_mm512_max_ps((__m512)a, (__m512)b);
}
inline Ints nearest(Floats values) noexcept {
    return (Ints)_mm512_cvtps_epi32((__m512)values);
}
#elif defined(MEDPLUG_AVX2)
constexpr Floats kLaneIndex = {0, 1, 2, 3, 4, 5, 6, 7};

inline Floats lesser(Floats a, Floats b) noexcept {
    return (Floats)_mm256_min_ps((__m256)a, (__m256)b);
}
inline Floats greater(Floats a, Floats b) noexcept {
    return (Floats)_mm256_max_ps((__m256)a, (__m256)b);
}
inline Ints nearest(Floats values) noexcept {
    return (Ints)_mm256_cvtps_epi32((__m256)values);
}
#else
constexpr Floats kLaneIndex = {0, 1, 2, 3};

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

// Where windows begin along one axis, in the tile's own pixels, and how far behind that their centres lie.
struct Begins {
    Ints first;
    Floats centre;
};

// Where the first output of a tile's row `row` lies.
inline float start_of(const TileAxis& axis, std::int64_t row) noexcept {
    return static_cast<float>(axis.position + static_cast<double>(row) * axis.down);
}

// Where those of a row that starts at `start` lie; `outputs` are their numbers in it. In floats: a tile is at most some
// thousand pixels wide, so positions are good to 2^-13 of a pixel, usually to 2^-16.
template <bool edges>
inline Floats positions(const TileAxis& axis, float start, Floats outputs) noexcept {
    const Floats here = outputs * axis.step + start;
    return edges ? greater(lesser(here, Floats{} + axis.high), Floats{} + axis.low) : here;
}

template <bool edges>
inline Begins begins(const TileAxis& axis, float start, Floats outputs) noexcept {
    const Floats here = positions<edges>(axis, start, outputs);
    // The first pixel beyond `here - support`, which is not negative, since the tile holds every window.
    const Ints first = truncated(here - axis.support) + 1;
    return {first, here - floats(first)};
}

} // namespace

} // namespace medplug::MEDPLUG_ISA
