// A tile of outputs along any axes, from a box of packed pairs. Every output reads two places, one in each of two
// slices; they are fetched one by one (the instruction sets' own gathers take twice as long) into whole registers, and
// the rest is arithmetic on these, as between two rows.
#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

constexpr int kFraction = (1 << kPositionBits) - 1;
constexpr int kSpare = kPositionBits - kWeightBits;

// Of each output a column's pair of rows, and the next column's.
struct Columns {
    Words here, next;
};

#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)

inline __m128 two(const std::int32_t* box, std::int32_t first, std::int32_t second) noexcept {
    const __m128 low = _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(box + first)));
    return _mm_loadh_pi(low, reinterpret_cast<const __m64*>(box + second));
}

#endif

#if defined(MEDPLUG_AVX512)

inline __m512 whole(const __m128 (&parts)[8], int first) noexcept {
    const __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[first]), parts[first + 2], 1);
    const __m256 high = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[first + 4]), parts[first + 6], 1);
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
inline Columns split(const __m128 (&parts)[8]) noexcept {
    const __m512 first = whole(parts, 0), second = whole(parts, 1);
    return {{_mm512_castps_si512(_mm512_shuffle_ps(first, second, 0x88))},
            {_mm512_castps_si512(_mm512_shuffle_ps(first, second, 0xdd))}};
}

#elif defined(MEDPLUG_AVX2)

inline Columns split(const __m128 (&parts)[4]) noexcept {
    const __m256 first = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[0]), parts[2], 1);
    const __m256 second = _mm256_insertf128_ps(_mm256_castps128_ps256(parts[1]), parts[3], 1);
    return {{_mm256_castps_si256(_mm256_shuffle_ps(first, second, 0x88))},
            {_mm256_castps_si256(_mm256_shuffle_ps(first, second, 0xdd))}};
}

#endif

#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)

inline void fetch(const std::int32_t* near, const std::int32_t* far, const std::int32_t* offsets, Columns& first,
                  Columns& second) noexcept {
    __m128 here[kLanes / 2], there[kLanes / 2];
    for (int i = 0; i < kLanes / 2; ++i) {
        const std::int32_t a = offsets[2 * i], b = offsets[2 * i + 1];
        here[i] = two(near, a, b);
        there[i] = two(far, a, b);
    }
    first = split(here);
    second = split(there);
}

#else

inline Columns fetch_from(const std::int32_t* box, const std::int32_t* offsets) noexcept {
    Ints here, next;
    for (int i = 0; i < kLanes; ++i) {
        here[i] = box[offsets[i]];
        next[i] = box[offsets[i] + 1];
    }
    return {words(here), words(next)};
}
inline void fetch(const std::int32_t* near, const std::int32_t* far, const std::int32_t* offsets, Columns& first,
                  Columns& second) noexcept {
    first = fetch_from(near, offsets);
    second = fetch_from(far, offsets);
}

#endif

inline Ints counted() noexcept {
    std::int32_t each[kLanes];
    for (int i = 0; i < kLanes; ++i) {
        each[i] = i;
    }
    return load_ints(each);
}

// Beyond the row positions may leave 32 bits; they wrap, and nothing is read there.
typedef std::uint32_t Wrapping __attribute__((vector_size(sizeof(Ints))));
inline Ints moved(Ints from, Ints times, std::int32_t step) noexcept {
    return (Ints)((Wrapping)from + (Wrapping)times * static_cast<std::uint32_t>(step));
}

inline void make_row(const TileLerp& job, const std::int32_t* first, float* out) noexcept {
    const Ints lanes = counted();
    const Ints center = Ints{} + job.center;
    const Words pitches = words(Ints{} + (job.row_pitch << 16 | job.slice_pitch));
    Ints slice = moved(Ints{} + first[0], lanes, job.step[0][2]);
    Ints row = moved(Ints{} + first[1], lanes, job.step[1][2]);
    Ints column = moved(Ints{} + first[2], lanes, job.step[2][2]);
    for (std::int64_t x = 0; x < job.size[2]; x += kLanes) {
        alignas(64) std::int32_t offsets[kLanes];
        const Ints place = slice >> kPositionBits | (row >> (kPositionBits - 16) & ~0xffff);
        store(offsets, multiply_add(column >> kPositionBits, words(place), pitches));
        const std::int64_t here = job.size[2] - x;
        for (std::int64_t i = here; i < kLanes; ++i) { // beyond the row, and perhaps beyond the box
            offsets[i] = offsets[0];
        }
        const Ints across = (row & kFraction) >> kSpare;
        const Ints along = (column & kFraction) >> kSpare;
        // As `pair_weights`: one less the share, and the share, both negated.
        const Words rows = words((across | 0x8000) - (across << 16));
        const Words next = scaled(rows, words(along | along << 16));
        const Words same = minus(rows, next);
        Columns upper, lower;
        fetch(job.packed, job.packed + job.slice_pitch, offsets, upper, lower);
        const auto within = [&](const Columns& columns) noexcept {
            return floats(multiply_add(multiply_add(center, columns.here, same), columns.next, next));
        };
        const Floats near = within(upper), far = within(lower);
        const Floats value = near + (far - near) * (floats(slice & kFraction) * (1.0F / (kFraction + 1)));
        const Floats result = clamped(value * job.gain + job.bias, Floats{} + job.low, Floats{} + job.high);
        if (here < kLanes) {
            std::memcpy(out + x, &result, static_cast<std::size_t>(here) * sizeof(float));
        } else {
            store(out + x, result);
        }
        slice = moved(slice, Ints{} + kLanes, job.step[0][2]);
        row = moved(row, Ints{} + kLanes, job.step[1][2]);
        column = moved(column, Ints{} + kLanes, job.step[2][2]);
    }
}

} // namespace

void lerp_tile(const TileLerp& job) noexcept {
    // Slices within rows: two of three cells that an output reads were read for the slice before.
    for (std::int32_t r = 0; r < job.size[1]; ++r) {
        for (std::int32_t s = 0; s < job.size[0]; ++s) {
            std::int32_t first[3];
            for (int i = 0; i < 3; ++i) {
                first[i] = job.first[i] + s * job.step[i][0] + r * job.step[i][1];
            }
            make_row(job, first, job.out + s * job.out_slice + r * job.out_row);
        }
    }
}

} // namespace medplug::MEDPLUG_ISA
