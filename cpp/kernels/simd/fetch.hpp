// Packed pairs of rows from anywhere, as many outputs at once as a register holds. Offsets leave their register and
// pixels enter theirs by way of other registers, never by way of memory: a load of part of what was just stored as a
// whole, or of the whole of what was stored in parts, waits for the store, and every output would wait for the one
// before it (27 ns for 16 outputs; this way 17). Intel's gathers were slower still, until Sapphire Rapids: where
// `gathers_well` says so, they take half the time of this.
#pragma once

#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// Of each output a column's pair of rows, and the next column's.
struct Columns {
    Words here, next;
};

#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)

inline __m128 load_two(const std::int32_t* packed, std::uint64_t offsets) noexcept {
    const auto* first = packed + static_cast<std::uint32_t>(offsets);
    const auto* second = packed + (offsets >> 32);
    const __m128 low = _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(first)));
    return _mm_loadh_pi(low, reinterpret_cast<const __m64*>(second));
}

// Two parts of two outputs each, for four offsets.
inline void load_four(const std::int32_t* packed, __m128i offsets, __m128* parts) noexcept {
    parts[0] = load_two(packed, static_cast<std::uint64_t>(_mm_cvtsi128_si64(offsets)));
    parts[1] = load_two(packed, static_cast<std::uint64_t>(_mm_extract_epi64(offsets, 1)));
}

#endif

#if defined(MEDPLUG_AVX512)

inline Columns gather(const std::int32_t* packed, Ints offsets) noexcept {
    const auto all = (__m512i)offsets;
    const __m512i first = _mm512_i32gather_epi64(_mm512_castsi512_si256(all), packed, sizeof *packed);
    const __m512i second = _mm512_i32gather_epi64(_mm512_extracti64x4_epi64(all, 1), packed, sizeof *packed);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return {{_mm512_permutex2var_epi32(first, even, second)}, {_mm512_permutex2var_epi32(first, odd, second)}};
}

inline __m512 whole(const __m128 (&parts)[8], int first) noexcept {
    const __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[first]), parts[first + 2], 1);
    const __m256 high = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[first + 4]), parts[first + 6], 1);
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
template <bool gathers>
inline Columns fetch(const std::int32_t* packed, Ints offsets) noexcept {
    if constexpr (gathers) {
        return gather(packed, offsets);
    }
    const auto all = (__m512i)offsets;
    __m128 parts[8];
    load_four(packed, _mm512_castsi512_si128(all), parts);
    load_four(packed, _mm512_extracti32x4_epi32(all, 1), parts + 2);
    load_four(packed, _mm512_extracti32x4_epi32(all, 2), parts + 4);
    load_four(packed, _mm512_extracti32x4_epi32(all, 3), parts + 6);
    const __m512 first = whole(parts, 0), second = whole(parts, 1);
    return {{_mm512_castps_si512(_mm512_shuffle_ps(first, second, 0x88))},
            {_mm512_castps_si512(_mm512_shuffle_ps(first, second, 0xdd))}};
}

#elif defined(MEDPLUG_AVX2)

template <bool>
inline Columns fetch(const std::int32_t* packed, Ints offsets) noexcept {
    const auto all = (__m256i)offsets;
    __m128 parts[4];
    load_four(packed, _mm256_castsi256_si128(all), parts);
    load_four(packed, _mm256_extracti128_si256(all, 1), parts + 2);
    const __m256 first = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[0]), parts[2], 1);
    const __m256 second = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[1]), parts[3], 1);
    return {{_mm256_castps_si256(_mm256_shuffle_ps(first, second, 0x88))},
            {_mm256_castps_si256(_mm256_shuffle_ps(first, second, 0xdd))}};
}

#else

template <bool>
inline Columns fetch(const std::int32_t* packed, Ints offsets) noexcept {
    Ints here, next;
    for (int i = 0; i < kLanes; ++i) {
        here[i] = packed[offsets[i]];
        next[i] = packed[offsets[i] + 1];
    }
    return {words(here), words(next)};
}

#endif

} // namespace

} // namespace medplug::MEDPLUG_ISA
