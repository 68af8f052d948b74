// Linear interpolation between neighbours along a row: every output has a pair of words and a pair of weights, and
// one multiply-add of words makes the whole number that lies between. As many outputs at a time as a register holds;
// all sets round the same sums in the same order.
#pragma once

#include "curve.hpp"
#include "vectors.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

#if defined(MEDPLUG_AVX512)

inline Floats clamped(Floats v, Floats low, Floats high) noexcept {
    return (Floats)_mm512_min_ps(_mm512_max_ps((__m512)v, (__m512)low), (__m512)high);
}
// Past the caches: a line that is overwritten whole need not be read first.
inline void stream(float* p, Floats v) noexcept {
    _mm512_stream_ps(p, (__m512)v);
}
inline void stream_fence() noexcept {
    _mm_sfence();
}
inline Words words(Ints pairs) noexcept {
    return {(__m512i)pairs};
}
inline Ints multiply_add(Ints sum, Words pairs, Words weights) noexcept {
    return (Ints)_mm512_dpwssd_epi32((__m512i)sum, pairs.v, weights.v);
}
// (a * b + 2^14) >> 15
inline Words scaled(Words a, Words b) noexcept {
    return {_mm512_mulhrs_epi16(a.v, b.v)};
}
inline Words minus(Words a, Words b) noexcept {
    return {_mm512_sub_epi16(a.v, b.v)};
}

#elif defined(MEDPLUG_AVX2)

inline Floats clamped(Floats v, Floats low, Floats high) noexcept {
    return (Floats)_mm256_min_ps(_mm256_max_ps((__m256)v, (__m256)low), (__m256)high);
}
inline void stream(float* p, Floats v) noexcept {
    _mm256_stream_ps(p, (__m256)v);
}
inline void stream_fence() noexcept {
    _mm_sfence();
}
inline Words words(Ints pairs) noexcept {
    return {(__m256i)pairs};
}
inline Ints multiply_add(Ints sum, Words pairs, Words weights) noexcept {
    return sum + (Ints)_mm256_madd_epi16(pairs.v, weights.v);
}
inline Words scaled(Words a, Words b) noexcept {
    return {_mm256_mulhrs_epi16(a.v, b.v)};
}
inline Words minus(Words a, Words b) noexcept {
    return {_mm256_sub_epi16(a.v, b.v)};
}

#else

inline Floats clamped(Floats v, Floats low, Floats high) noexcept {
    v = v > low ? v : low;
    return v < high ? v : high;
}
inline void stream(float* p, Floats v) noexcept {
    store(p, v);
}
inline void stream_fence() noexcept {}
inline Words words(Ints pairs) noexcept {
    return {(WordVector)pairs};
}
inline Ints multiply_add(Ints sum, Words pairs, Words weights) noexcept {
    const Ints p = (Ints)pairs.v, w = (Ints)weights.v; // the first of a pair is the lower half
    return sum + (p << 16 >> 16) * (w << 16 >> 16) + (p >> 16) * (w >> 16);
}
inline Words scaled(Words a, Words b) noexcept {
    Words result;
    for (int i = 0; i < kWords; ++i) {
        result.v[i] = static_cast<std::int16_t>((a.v[i] * b.v[i] + (1 << 14)) >> 15);
    }
    return result;
}
inline Words minus(Words a, Words b) noexcept {
    return {a.v - b.v};
}

#endif

// How words come from stored integers.
enum class Reading { same, flipped, clamped, shifted };

template <Reading reading>
struct Reader {
    Curve curve;

    explicit Reader(const WordTone& tone) noexcept : curve(tone) {}

    Words operator()(Words stored) const noexcept {
        if constexpr (reading == Reading::same) {
            return stored;
        } else if constexpr (reading == Reading::flipped) {
            return exclusive_or(stored, curve.flip);
        } else {
            return curve.of<reading == Reading::clamped>(stored);
        }
    }
};

template <class Work>
inline void with_reading(const WordTone& tone, bool clamps, const Work& work) noexcept {
    if (!clamps && tone.flip == 0) {
        work(Reader<Reading::same>(tone));
    } else if (!clamps) {
        work(Reader<Reading::flipped>(tone));
    } else if (tone.plain) {
        work(Reader<Reading::clamped>(tone));
    } else {
        work(Reader<Reading::shifted>(tone));
    }
}

// Two neighbours, wherever they are, as the halves of one integer.
template <class Stored>
inline std::int32_t pair_at(const std::byte* p) noexcept {
    if constexpr (sizeof(Stored) == 2) {
        std::int32_t both;
        std::memcpy(&both, p, sizeof both);
        return both;
    } else {
        Stored both[2];
        std::memcpy(both, p, sizeof both);
        return static_cast<std::int32_t>((static_cast<std::uint32_t>(both[0]) & 0xffffu) |
                                         static_cast<std::uint32_t>(both[1]) << 16);
    }
}

} // namespace

} // namespace medplug::MEDPLUG_ISA
