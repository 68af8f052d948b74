// From sums that lie output by output to words that lie column by column: what a tile's outputs sum along the rows has
// to change places, and to become words, before it is summed along the columns.
#pragma once

#include "vectors.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// Sums of eight columns for each of a register's outputs, as the instruction set makes them.
#if defined(MEDPLUG_AVX512)
struct OctetSums { // of the outputs i and i + 8
    __m512i of[8];
};
#elif defined(MEDPLUG_AVX2)
struct OctetSums {
    __m256i of[8];
};
#else
struct OctetSums {
    std::int32_t of[kLanes][8];
};
#endif

// With which a sum begins. Its upper half is then the nearest multiple of 2^16, and the lower one, about zero, what is
// missing: sum = high * 2^16 + low.
constexpr std::int32_t kFirstSum = 1 << 15;

// The halves of the sums, with columns in pairs: `high` holds columns 0 and 1 of every output, two words in an integer,
// then 2 and 3, and so on.
inline void turn_words(const OctetSums& sums, Ints* high, Ints* low) noexcept {
#if defined(MEDPLUG_AVX512)
    const auto turn = [](const __m512i* packed, Ints* to) noexcept {
        const __m512i left = _mm512_setr_epi32(0, 2, 16, 18, 8, 10, 24, 26, 1, 3, 17, 19, 9, 11, 25, 27);
        const __m512i right = _mm512_setr_epi32(4, 6, 20, 22, 12, 14, 28, 30, 5, 7, 21, 23, 13, 15, 29, 31);
        const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
        const __m512i second = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
        for (int side = 0; side < 2; ++side) {
            const __m512i columns = side == 0 ? left : right;
            const __m512i a = _mm512_permutex2var_epi32(packed[0], columns, packed[1]);
            const __m512i b = _mm512_permutex2var_epi32(packed[2], columns, packed[3]);
            to[2 * side] = (Ints)_mm512_permutex2var_epi32(a, first, b);
            to[2 * side + 1] = (Ints)_mm512_permutex2var_epi32(a, second, b);
        }
    };
    const __m512i mask = _mm512_set1_epi32(0xffff), flip = _mm512_set1_epi16(-32768);
    __m512i upper[4], lower[4]; // outputs i and i + 1, columns 0 to 3 and 4 to 7, and the same of i + 8 and i + 9
    for (int i = 0; i < 4; ++i) {
        const __m512i a = sums.of[2 * i], b = sums.of[2 * i + 1];
        upper[i] = _mm512_packs_epi32(_mm512_srai_epi32(a, 16), _mm512_srai_epi32(b, 16));
        lower[i] = _mm512_xor_si512(flip, _mm512_packus_epi32(_mm512_and_si512(a, mask), _mm512_and_si512(b, mask)));
    }
    turn(upper, high);
    turn(lower, low);
#elif defined(MEDPLUG_AVX2)
    const auto turn = [](const __m256i* packed, Ints* to) noexcept {
        const auto a = (__m256)packed[0], b = (__m256)packed[1], c = (__m256)packed[2], d = (__m256)packed[3];
        const __m256 even = _mm256_shuffle_ps(a, b, 0x88), odd = _mm256_shuffle_ps(a, b, 0xdd);
        const __m256 other_even = _mm256_shuffle_ps(c, d, 0x88), other_odd = _mm256_shuffle_ps(c, d, 0xdd);
        to[0] = (Ints)_mm256_permute2f128_ps(even, other_even, 0x20);
        to[1] = (Ints)_mm256_permute2f128_ps(odd, other_odd, 0x20);
        to[2] = (Ints)_mm256_permute2f128_ps(even, other_even, 0x31);
        to[3] = (Ints)_mm256_permute2f128_ps(odd, other_odd, 0x31);
    };
    const __m256i mask = _mm256_set1_epi32(0xffff), flip = _mm256_set1_epi16(-32768);
    __m256i upper[4], lower[4]; // outputs i and i + 1, columns 0 to 3; then 4 to 7
    for (int i = 0; i < 4; ++i) {
        const __m256i a = sums.of[2 * i], b = sums.of[2 * i + 1];
        upper[i] = _mm256_packs_epi32(_mm256_srai_epi32(a, 16), _mm256_srai_epi32(b, 16));
        lower[i] = _mm256_xor_si256(flip, _mm256_packus_epi32(_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)));
    }
    turn(upper, high);
    turn(lower, low);
#else
    for (int lane = 0; lane < kLanes; ++lane) {
        for (int i = 0; i < 4; ++i) {
            const auto left = static_cast<std::uint32_t>(sums.of[lane][2 * i]);
            const auto right = static_cast<std::uint32_t>(sums.of[lane][2 * i + 1]);
            high[i][lane] = static_cast<std::int32_t>(left >> 16 | (right & 0xffff0000U));
            low[i][lane] = static_cast<std::int32_t>(((left & 0xffffU) | right << 16) ^ 0x80008000U);
        }
    }
#endif
}

} // namespace

} // namespace medplug::MEDPLUG_ISA
