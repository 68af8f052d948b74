// Two rows as pairs of words, sixteen columns at a time: the pair (y, y + 1) of a column is one integer, so that two
// neighbouring columns, four neighbours in all, are one load.
#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

constexpr int kGroup = static_cast<int>(kBoxGroup);
constexpr std::int64_t kEarly = 8;

#if defined(MEDPLUG_AVX512)

inline __m256i half(const std::uint8_t* p) noexcept {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline __m256i half(const std::int8_t* p) noexcept {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline __m256i half(const std::uint16_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline __m256i half(const std::int16_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Both rows in one register, then one permutation.
template <class Stored, class Read>
inline void pack_group(const Stored* top, const Stored* bottom, const Read& read, std::int32_t* to) noexcept {
    alignas(64) static constexpr std::int16_t order[] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                         8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(half(top)), half(bottom), 1);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(_mm512_load_si512(order), read({both}).v));
}

#elif defined(MEDPLUG_AVX2)

template <class Stored, class Read>
inline void pack_group(const Stored* top, const Stored* bottom, const Read& read, std::int32_t* to) noexcept {
    const __m256i a = read(load(top)).v, b = read(load(bottom)).v;
    const __m256i low = _mm256_unpacklo_epi16(a, b), high = _mm256_unpackhi_epi16(a, b);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), _mm256_permute2x128_si256(low, high, 0x31));
}

#else

template <class Stored, class Read>
inline void pack_group(const Stored* top, const Stored* bottom, const Read& read, std::int32_t* to) noexcept {
    for (int i = 0; i < kGroup; i += kWords) {
        store_pairs(to + i, pair(read(load(top + i)), read(load(bottom + i))));
    }
}

#endif

// At the image's edge: columns and rows outside take the edge's own, then the constant where there is one.
template <class Stored, class Read>
void pack_edge(const BoxRows& job, const std::byte* top, const std::byte* bottom, std::int64_t column, const Read& read,
               std::int32_t* to) noexcept {
    Stored above[kWords < kGroup ? kGroup : kWords] = {}, below[kWords < kGroup ? kGroup : kWords] = {};
    const auto nearest = [&](int i) noexcept {
        const std::int64_t x = column + i;
        return (x < 0 ? 0 : x >= job.columns ? job.columns - 1 : x) * static_cast<std::int64_t>(sizeof(Stored));
    };
    for (int i = 0; i < kGroup; ++i) {
        if (top != nullptr) {
            std::memcpy(above + i, top + nearest(i), sizeof(Stored));
        }
        if (bottom != nullptr) {
            std::memcpy(below + i, bottom + nearest(i), sizeof(Stored));
        }
    }
    pack_group(above, below, read, to);
    for (int i = 0; i < kGroup; ++i) {
        const bool outside = job.fills && (column + i < 0 || column + i >= job.columns);
        const auto both = static_cast<std::uint32_t>(to[i]), fill = static_cast<std::uint32_t>(job.fill) & 0xffffu;
        const std::uint32_t low = outside || top == nullptr ? fill : both & 0xffffu;
        const std::uint32_t high = outside || bottom == nullptr ? fill : both >> 16;
        to[i] = static_cast<std::int32_t>(low | high << 16);
    }
}

template <class Stored, class Read>
void pack_rows(const BoxRows& job, const Read& read) noexcept {
    const std::int64_t columns = job.columns;
    const std::ptrdiff_t ahead = job.ahead;
    const std::uint32_t fill = static_cast<std::uint32_t>(job.fill) & 0xffffu;
    const auto filled = static_cast<std::int32_t>(fill | fill << 16);
    for (std::int64_t k = 0; k < job.count; ++k) {
        const std::byte* top = job.rows[k];
        const std::byte* bottom = job.rows[k + 1];
        const std::int64_t end = job.ends[k], first_column = job.first_column;
        std::int32_t* to = job.packed + k * job.pitch;
        // Short pieces of rows far apart, which no hardware prefetcher follows: eight rows are early enough.
        const std::int64_t soon = k + kEarly;
        const std::byte* hint = soon <= job.count ? job.rows[soon] : job.rows[soon % job.count];
        hint = hint == nullptr ? bottom : soon <= job.count ? hint : hint + ahead;
        const bool both = top != nullptr && bottom != nullptr, none = top == nullptr && bottom == nullptr;
        for (std::int64_t x = job.begins[k]; x < end; x += kGroup) {
            const std::int64_t column = first_column + x;
            if (both && column >= 0 && column + kGroup <= columns) {
                const std::int64_t at = column * static_cast<std::int64_t>(sizeof(Stored));
                __builtin_prefetch(hint + at);
                pack_group(reinterpret_cast<const Stored*>(top + at), reinterpret_cast<const Stored*>(bottom + at),
                           read, to + x);
            } else if (none || (job.fills && (column + kGroup <= 0 || column >= columns))) {
                for (int i = 0; i < kGroup; ++i) {
                    to[x + i] = filled;
                }
            } else {
                pack_edge<Stored>(job, top, bottom, column, read, to + x);
            }
        }
    }
}

} // namespace

template <class Stored>
void pack_box(const BoxRows& job) noexcept {
    with_reading(*job.tone, job.clamps, [&](const auto& read) noexcept { pack_rows<Stored>(job, read); });
}

template void pack_box<std::uint8_t>(const BoxRows&) noexcept;
template void pack_box<std::int8_t>(const BoxRows&) noexcept;
template void pack_box<std::uint16_t>(const BoxRows&) noexcept;
template void pack_box<std::int16_t>(const BoxRows&) noexcept;

} // namespace medplug::MEDPLUG_ISA
