// Squares of 32-bit items, turned about their diagonal.
#pragma once

#include <cstdint>

#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)
#include <immintrin.h>
#endif

namespace medplug::MEDPLUG_ISA {

namespace {

#if defined(MEDPLUG_AVX512)

// [16 rows of `from`] to [16 rows of `to`], turned.
inline void turn(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) noexcept {
    __m512 a[16], b[16];
    for (int i = 0; i < 16; ++i) {
        a[i] = _mm512_loadu_ps(from + i * from_stride);
    }
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    const auto pairs = [](__m512 x, __m512 y, bool high) noexcept {
        const __m512d p = _mm512_castps_pd(x), q = _mm512_castps_pd(y);
        return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(p, q) : _mm512_unpacklo_pd(p, q));
    };
    for (int i = 0; i < 16; i += 4) {
        a[i] = pairs(b[i], b[i + 2], false);
        a[i + 1] = pairs(b[i], b[i + 2], true);
        a[i + 2] = pairs(b[i + 1], b[i + 3], false);
        a[i + 3] = pairs(b[i + 1], b[i + 3], true);
    }
    for (int i = 0; i < 4; ++i) { // quarters of the registers, first within each half, then between the halves
        b[i] = _mm512_shuffle_f32x4(a[i], a[4 + i], 0x88);
        b[4 + i] = _mm512_shuffle_f32x4(a[i], a[4 + i], 0xdd);
        b[8 + i] = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0x88);
        b[12 + i] = _mm512_shuffle_f32x4(a[8 + i], a[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; ++i) {
        _mm512_storeu_ps(to + i * to_stride, _mm512_shuffle_f32x4(b[i], b[8 + i], 0x88));
        _mm512_storeu_ps(to + (4 + i) * to_stride, _mm512_shuffle_f32x4(b[4 + i], b[12 + i], 0x88));
        _mm512_storeu_ps(to + (8 + i) * to_stride, _mm512_shuffle_f32x4(b[i], b[8 + i], 0xdd));
        _mm512_storeu_ps(to + (12 + i) * to_stride, _mm512_shuffle_f32x4(b[4 + i], b[12 + i], 0xdd));
    }
}

#elif defined(MEDPLUG_AVX2)

// Eight by eight.
inline void turn_eight(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) noexcept {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; ++i) {
        a[i] = _mm256_loadu_ps(from + i * from_stride);
    }
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {
        _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(a[i], a[4 + i], 0x20));
        _mm256_storeu_ps(to + (4 + i) * to_stride, _mm256_permute2f128_ps(a[i], a[4 + i], 0x31));
    }
}

inline void turn(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) noexcept {
    for (int i = 0; i < 16; i += 8) {
        for (int j = 0; j < 16; j += 8) {
            turn_eight(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
        }
    }
}

#else

inline void turn(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) noexcept {
    for (int i = 0; i < 16; ++i) {
        for (int j = 0; j < 16; ++j) {
            to[j * to_stride + i] = from[i * from_stride + j];
        }
    }
}

#endif

} // namespace

} // namespace medplug::MEDPLUG_ISA
