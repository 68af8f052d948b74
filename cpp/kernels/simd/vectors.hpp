// Floats and integers, as many as a register of the instruction set holds. (GCC takes wider vectors apart, number by
// number, where it compares or broadcasts them.) Everything is rounded as it is written, never fused, and lanes know
// nothing of each other, so every set gives the same bits.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)
#include <immintrin.h>
#endif

namespace medplug::MEDPLUG_ISA {

namespace {

#if defined(MEDPLUG_AVX512)
constexpr int kLanes = 16;
#elif defined(MEDPLUG_AVX2)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));

inline Floats load_floats(const float* p) noexcept {
    Floats values;
    std::memcpy(&values, p, sizeof values);
    return values;
}
inline Ints load_ints(const std::int32_t* p) noexcept {
    Ints values;
    std::memcpy(&values, p, sizeof values);
    return values;
}
inline void store(float* p, Floats values) noexcept {
    std::memcpy(p, &values, sizeof values);
}
inline void store(std::int32_t* p, Ints values) noexcept {
    std::memcpy(p, &values, sizeof values);
}
// The first `count` of them. A copy of any length is a call, or a string instruction, that takes longer than the sums.
inline void store_some(float* to, Floats values, std::int64_t count) noexcept {
#if defined(MEDPLUG_AVX512)
    const auto mask = static_cast<__mmask16>(count >= kLanes ? 0xffffU : (1U << count) - 1U);
    _mm512_mask_storeu_ps(to, mask, (__m512)values);
#else
    if (count >= kLanes) {
        __builtin_memcpy(to, &values, sizeof values);
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        to[i] = values[i];
    }
#endif
}

// Sums that may leave 32 bits and then wrap: of what means nothing, and is not used.
typedef std::uint32_t Wrapping __attribute__((vector_size(sizeof(Ints))));
inline Ints added(Ints a, Ints b) noexcept {
    return (Ints)((Wrapping)a + (Wrapping)b);
}
inline Floats floats(Ints values) noexcept {
    return __builtin_convertvector(values, Floats);
}

} // namespace

} // namespace medplug::MEDPLUG_ISA
