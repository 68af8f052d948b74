// One register of 16-bit words, and what the integer kernels do with it, spelled for the instruction set that this
// file is compiled for. Every operation is exact, so all sets give the same bits; only the width differs.
// Nothing here may come from the standard library: an inline function compiled for a large set could be the copy
// that the linker keeps for everybody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)
#include <immintrin.h>
#endif

namespace medplug::MEDPLUG_ISA {

namespace {

#if defined(MEDPLUG_AVX512)

struct Words {
    __m512i v;
};
struct Sums { // of 32 columns; the halves hold every other four of them, see `pair`
    __m512i low, high;
};
constexpr int kWords = 32;

inline Words broadcast(std::int16_t value) noexcept {
    return {_mm512_set1_epi16(value)};
}

inline Words load(const std::uint8_t* p) noexcept {
    return {_mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Words load(const std::int8_t* p) noexcept {
    return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Words load(const std::uint16_t* p) noexcept {
    return {_mm512_loadu_si512(p)};
}
inline Words load(const std::int16_t* p) noexcept {
    return {_mm512_loadu_si512(p)};
}

inline void store(std::int16_t* p, Words a) noexcept {
    _mm512_storeu_si512(p, a.v);
}
inline Words plus(Words a, Words b) noexcept {
    return {_mm512_add_epi16(a.v, b.v)};
}
inline Words average(Words a, Words b) noexcept { // of unsigned ones; halves go up
    return {_mm512_avg_epu16(a.v, b.v)};
}
inline Words exclusive_or(Words a, Words b) noexcept {
    return {_mm512_xor_si512(a.v, b.v)};
}
inline Words minus_saturated(Words a, Words b) noexcept {
    return {_mm512_subs_epu16(a.v, b.v)};
}
inline Words lesser_unsigned(Words a, Words b) noexcept {
    return {_mm512_min_epu16(a.v, b.v)};
}
inline Words lesser(Words a, Words b) noexcept {
    return {_mm512_min_epi16(a.v, b.v)};
}
inline Words greater(Words a, Words b) noexcept {
    return {_mm512_max_epi16(a.v, b.v)};
}
inline Words shifted_left(Words a, int bits) noexcept {
    return {_mm512_sll_epi16(a.v, _mm_cvtsi32_si128(bits))};
}

inline Sums no_sums() noexcept {
    return {_mm512_setzero_si512(), _mm512_setzero_si512()};
}
inline Sums load_sums(const std::int32_t* p) noexcept {
    return {_mm512_loadu_si512(p), _mm512_loadu_si512(p + 16)};
}
inline void store_sums(std::int32_t* p, const Sums& sums) noexcept {
    _mm512_storeu_si512(p, sums.low);
    _mm512_storeu_si512(p + 16, sums.high);
}

// sums[x] += weights.first * a[x] + weights.second * b[x], the two weights packed into one int32.
struct RowPair {
    __m512i low, high;
};
inline RowPair pair(Words a, Words b) noexcept {
    return {_mm512_unpacklo_epi16(a.v, b.v), _mm512_unpackhi_epi16(a.v, b.v)};
}
inline void add_weighted(Sums& sums, const RowPair& rows, std::int32_t weights) noexcept {
    const __m512i both = _mm512_set1_epi32(weights);
    sums.low = _mm512_dpwssd_epi32(sums.low, rows.low, both);
    sums.high = _mm512_dpwssd_epi32(sums.high, rows.high, both);
}

// Writes the sums, shifted to the right with halves up, as words, in the columns' order.
inline void store_words(std::int16_t* to, const Sums& sums, int shift) noexcept {
    const __m512i half = _mm512_set1_epi32(1 << shift >> 1);
    const __m128i by = _mm_cvtsi32_si128(shift);
    _mm512_storeu_si512(to, _mm512_packs_epi32(_mm512_sra_epi32(_mm512_add_epi32(sums.low, half), by),
                                               _mm512_sra_epi32(_mm512_add_epi32(sums.high, half), by)));
}

// Writes the pairs, a column after the other.
inline void store_pairs(std::int32_t* to, const RowPair& rows) noexcept {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    _mm512_storeu_si512(to, _mm512_permutex2var_epi64(rows.low, first, rows.high));
    _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi64(rows.low, second, rows.high));
}

#elif defined(MEDPLUG_AVX2)

struct Words {
    __m256i v;
};
struct Sums {
    __m256i low, high;
};
constexpr int kWords = 16;

inline Words broadcast(std::int16_t value) noexcept {
    return {_mm256_set1_epi16(value)};
}

inline Words load(const std::uint8_t* p) noexcept {
    return {_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline Words load(const std::int8_t* p) noexcept {
    return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline Words load(const std::uint16_t* p) noexcept {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
inline Words load(const std::int16_t* p) noexcept {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}

inline void store(std::int16_t* p, Words a) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v);
}
inline Words plus(Words a, Words b) noexcept {
    return {_mm256_add_epi16(a.v, b.v)};
}
inline Words average(Words a, Words b) noexcept {
    return {_mm256_avg_epu16(a.v, b.v)};
}
inline Words exclusive_or(Words a, Words b) noexcept {
    return {_mm256_xor_si256(a.v, b.v)};
}
inline Words minus_saturated(Words a, Words b) noexcept {
    return {_mm256_subs_epu16(a.v, b.v)};
}
inline Words lesser_unsigned(Words a, Words b) noexcept {
    return {_mm256_min_epu16(a.v, b.v)};
}
inline Words lesser(Words a, Words b) noexcept {
    return {_mm256_min_epi16(a.v, b.v)};
}
inline Words greater(Words a, Words b) noexcept {
    return {_mm256_max_epi16(a.v, b.v)};
}
inline Words shifted_left(Words a, int bits) noexcept {
    return {_mm256_sll_epi16(a.v, _mm_cvtsi32_si128(bits))};
}

inline Sums no_sums() noexcept {
    return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline Sums load_sums(const std::int32_t* p) noexcept {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
inline void store_sums(std::int32_t* p, const Sums& sums) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), sums.low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), sums.high);
}

struct RowPair {
    __m256i low, high;
};
inline RowPair pair(Words a, Words b) noexcept {
    return {_mm256_unpacklo_epi16(a.v, b.v), _mm256_unpackhi_epi16(a.v, b.v)};
}
inline void add_weighted(Sums& sums, const RowPair& rows, std::int32_t weights) noexcept {
    const __m256i both = _mm256_set1_epi32(weights);
    sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(rows.low, both));
    sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(rows.high, both));
}

inline void store_words(std::int16_t* to, const Sums& sums, int shift) noexcept {
    const __m256i half = _mm256_set1_epi32(1 << shift >> 1);
    const __m128i by = _mm_cvtsi32_si128(shift);
    const __m256i low = _mm256_sra_epi32(_mm256_add_epi32(sums.low, half), by);
    const __m256i high = _mm256_sra_epi32(_mm256_add_epi32(sums.high, half), by);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_packs_epi32(low, high));
}

inline void store_pairs(std::int32_t* to, const RowPair& rows) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute2x128_si256(rows.low, rows.high, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), _mm256_permute2x128_si256(rows.low, rows.high, 0x31));
}

#else

// Vector types of GCC and Clang: plain C++ otherwise, and good code on every machine.
typedef std::int16_t WordVector __attribute__((vector_size(16)));
typedef std::uint16_t UnsignedVector __attribute__((vector_size(16)));
typedef std::int32_t SumVector __attribute__((vector_size(32)));

struct Words {
    WordVector v;
};
struct Sums {
    std::int32_t v[8];
};
constexpr int kWords = 8;

inline Words broadcast(std::int16_t value) noexcept {
    return {WordVector{} + value};
}

template <class Stored>
Words load_each(const Stored* p) noexcept {
    Words words;
    for (int i = 0; i < kWords; ++i) {
        words.v[i] = static_cast<std::int16_t>(p[i]);
    }
    return words;
}
inline Words load(const std::uint8_t* p) noexcept {
    return load_each(p);
}
inline Words load(const std::int8_t* p) noexcept {
    return load_each(p);
}
inline Words load(const std::uint16_t* p) noexcept {
    Words words;
    std::memcpy(&words.v, p, sizeof words.v);
    return words;
}
inline Words load(const std::int16_t* p) noexcept {
    Words words;
    std::memcpy(&words.v, p, sizeof words.v);
    return words;
}

inline void store(std::int16_t* p, Words a) noexcept {
    std::memcpy(p, &a.v, sizeof a.v);
}
inline Words plus(Words a, Words b) noexcept {
    return {(WordVector)((UnsignedVector)a.v + (UnsignedVector)b.v)};
}
inline Words average(Words a, Words b) noexcept {
    const auto x = (UnsignedVector)a.v, y = (UnsignedVector)b.v;
    return {(WordVector)((x | y) - ((x ^ y) >> 1))};
}
inline Words exclusive_or(Words a, Words b) noexcept {
    return {a.v ^ b.v};
}
inline Words minus_saturated(Words a, Words b) noexcept {
    const auto x = (UnsignedVector)a.v, y = (UnsignedVector)b.v;
    return {(WordVector)((x - y) & (UnsignedVector)(x > y))};
}
inline Words lesser_unsigned(Words a, Words b) noexcept {
    const auto x = (UnsignedVector)a.v, y = (UnsignedVector)b.v;
    return {(WordVector)(x < y ? x : y)};
}
inline Words lesser(Words a, Words b) noexcept {
    return {a.v < b.v ? a.v : b.v};
}
inline Words greater(Words a, Words b) noexcept {
    return {a.v > b.v ? a.v : b.v};
}
inline Words shifted_left(Words a, int bits) noexcept {
    return {a.v << static_cast<std::int16_t>(bits)};
}

inline Sums no_sums() noexcept {
    return {};
}
inline Sums load_sums(const std::int32_t* p) noexcept {
    Sums sums;
    std::memcpy(sums.v, p, sizeof sums.v);
    return sums;
}
inline void store_sums(std::int32_t* p, const Sums& sums) noexcept {
    std::memcpy(p, sums.v, sizeof sums.v);
}

struct RowPair {
    Words first, second;
};
inline RowPair pair(Words a, Words b) noexcept {
    return {a, b};
}
inline void add_weighted(Sums& sums, const RowPair& rows, std::int32_t weights) noexcept {
    const auto first = static_cast<std::int16_t>(weights & 0xffff);
    const auto second = static_cast<std::int16_t>(weights >> 16);
    for (int i = 0; i < kWords; ++i) {
        sums.v[i] += first * rows.first.v[i] + second * rows.second.v[i];
    }
}

inline void store_words(std::int16_t* to, const Sums& sums, int shift) noexcept {
    for (int i = 0; i < kWords; ++i) {
        to[i] = static_cast<std::int16_t>((sums.v[i] + (1 << shift >> 1)) >> shift);
    }
}

inline void store_pairs(std::int32_t* to, const RowPair& rows) noexcept {
    for (int i = 0; i < kWords; ++i) {
        const auto low = static_cast<std::uint16_t>(rows.first.v[i]),
                   high = static_cast<std::uint16_t>(rows.second.v[i]);
        to[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(high) << 16 | low);
    }
}

#endif

// The first `count` items at `p`, fewer than a register holds, and zeros after them: nothing is read beyond.
#if defined(MEDPLUG_AVX512)
inline Words load_some(const std::uint8_t* p, std::int64_t count) noexcept {
    return {_mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8((1u << count) - 1u, p))};
}
inline Words load_some(const std::int8_t* p, std::int64_t count) noexcept {
    return {_mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8((1u << count) - 1u, p))};
}
inline Words load_some(const std::uint16_t* p, std::int64_t count) noexcept {
    return {_mm512_maskz_loadu_epi16((1u << count) - 1u, p)};
}
inline Words load_some(const std::int16_t* p, std::int64_t count) noexcept {
    return {_mm512_maskz_loadu_epi16((1u << count) - 1u, p)};
}
#else
template <class Stored>
inline Words load_some(const Stored* p, std::int64_t count) noexcept {
    Stored items[kWords] = {};
    std::memcpy(items, p, static_cast<std::size_t>(count) * sizeof(Stored));
    return load(items);
}
#endif

} // namespace

} // namespace medplug::MEDPLUG_ISA
