// Bilinear sampling: the four pixels around a position are two neighbours of one packed row, so a single load of 64
// bits brings them; sixteen such loads, written side by side, are what the vectors work on. (A hardware gather is
// slower.)
#include "sixteen.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// The pixel at or before each position, which is not negative.
template <bool edges>
inline Begins pixel_before(const TileAxis& axis, std::int64_t x, std::int64_t width) noexcept {
    const Floats here = positions<edges>(axis, x, width);
    const Ints first = truncated(here);
    return {first, here - floats(first)};
}

// The sums over two rows, left and right of each position.
struct Sides {
    Ints left, right;
};

// `quads` holds [16][left upper, left lower, right upper, right lower]; `weights` the two rows' of each output.
inline Sides sum_quads(const std::int64_t* quads, Ints weights) noexcept {
    Sides sides;
#if defined(MEDPLUG_AVX512)
    const __m512i twice_low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i twice_high = _mm512_setr_epi32(8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const __m512i low =
        _mm512_madd_epi16(_mm512_load_si512(quads), _mm512_permutexvar_epi32(twice_low, (__m512i)weights));
    const __m512i high =
        _mm512_madd_epi16(_mm512_load_si512(quads + 8), _mm512_permutexvar_epi32(twice_high, (__m512i)weights));
    sides.left = (Ints)_mm512_permutex2var_epi32(low, even, high);
    sides.right = (Ints)_mm512_permutex2var_epi32(low, odd, high);
#else
    const auto* words = reinterpret_cast<const std::int16_t*>(quads);
    for (int lane = 0; lane < kLanes; ++lane, words += 4) {
        const std::int32_t upper = static_cast<std::int16_t>(weights[lane] & 0xffff), lower = weights[lane] >> 16;
        sides.left[lane] = upper * words[0] + lower * words[1];
        sides.right[lane] = upper * words[2] + lower * words[3];
    }
#endif
    return sides;
}

template <bool edges>
void make_row(const TileRow& job) noexcept {
    const float gain = job.gain / job.weight_scale;
    for (std::int64_t x = 0; x < job.width; x += kLanes) {
        const Begins rows = pixel_before<edges>(job.rows, x, job.width);
        const Begins columns = pixel_before<edges>(job.columns, x, job.width);
        const Ints lower = nearest(rows.centre * job.weight_scale);
        const Ints weights = (static_cast<std::int32_t>(job.weight_scale) - lower) | lower << 16;
        const Ints begin = rows.first * static_cast<std::int32_t>(job.pitch) + columns.first;
        alignas(64) std::int64_t quads[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) {
            __builtin_memcpy(quads + lane, job.packed + begin[lane], sizeof *quads);
        }
        const Sides sides = sum_quads(quads, weights);
        const Floats mean = floats(sides.left) * (1.0F - columns.centre) + floats(sides.right) * columns.centre;
        const Floats value = mean * gain + job.bias;
        const std::int64_t here = job.width - x < kLanes ? job.width - x : kLanes;
        __builtin_memcpy(job.out + x, &value, static_cast<std::size_t>(here) * sizeof(float));
    }
}

} // namespace

void make_linear_row(const TileRow& job) noexcept {
    job.edges ? make_row<true>(job) : make_row<false>(job);
}

} // namespace medplug::MEDPLUG_ISA
