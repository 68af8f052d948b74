// Bilinear sampling: the four pixels around a position are two neighbours of one packed row, so a single load of 64
// bits brings them; such loads, written side by side, are what the vectors work on. (A hardware gather is
// slower.)
#include "tile_lanes.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// The pixel at or before each position, which is not negative.
template <bool edges>
inline Begins pixel_before(const TileAxis& axis, float start, std::int64_t x, std::int64_t width) noexcept {
    const Floats here = positions<edges>(axis, start, x, width);
    const Ints first = truncated(here);
    return {first, here - floats(first)};
}

// The sums over two rows, left and right of each position.
struct Sides {
    Ints left, right;
};

// `quads` holds [lane][left upper, left lower, right upper, right lower]; `weights` the two rows' of each output.
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
#elif defined(MEDPLUG_AVX2)
    const __m256i twice_low = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    const __m256i twice_high = _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7);
    const auto* four = reinterpret_cast<const __m256i*>(quads);
    const auto low =
        (__m256)_mm256_madd_epi16(_mm256_load_si256(four), _mm256_permutevar8x32_epi32((__m256i)weights, twice_low));
    const auto high = (__m256)_mm256_madd_epi16(_mm256_load_si256(four + 1),
                                                _mm256_permutevar8x32_epi32((__m256i)weights, twice_high));
    sides.left = (Ints)_mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps(low, high, 0x88), 0xd8);
    sides.right = (Ints)_mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps(low, high, 0xdd), 0xd8);
#else
    std::int32_t left[kLanes], right[kLanes], each[kLanes];
    store(each, weights);
    for (int lane = 0; lane < kLanes; ++lane) {
        std::int16_t words[4];
        std::memcpy(words, quads + lane, sizeof words);
        const std::int32_t upper = static_cast<std::int16_t>(each[lane] & 0xffff), lower = each[lane] >> 16;
        left[lane] = upper * words[0] + lower * words[1];
        right[lane] = upper * words[2] + lower * words[3];
    }
    sides = {load_ints(left), load_ints(right)};
#endif
    return sides;
}

template <bool edges>
void make(const TileJob& job) noexcept {
    const TileAxis row_axis = job.rows, column_axis = job.columns; // copies: as far as the compiler knows, what is
    const std::int32_t* packed = job.packed;                       // written to `out` could be these
    const auto pitch = static_cast<std::int32_t>(job.pitch), one = static_cast<std::int32_t>(job.weight_scale);
    const float scale = job.weight_scale, gain = job.gain / job.weight_scale, bias = job.bias;
    const std::int64_t width = job.width, height = job.height, stride = job.out_stride;
    float* out = job.out;
    for (std::int64_t row = 0; row < height; ++row, out += stride) {
        const float down = start_of(row_axis, row), across = start_of(column_axis, row);
        for (std::int64_t x = 0; x < width; x += kLanes) {
            const Begins rows = pixel_before<edges>(row_axis, down, x, width);
            const Begins columns = pixel_before<edges>(column_axis, across, x, width);
            const Ints lower = nearest(rows.centre * scale);
            const Ints weights = (one - lower) | lower << 16;
            alignas(64) std::int32_t begin[kLanes];
            store(begin, rows.first * pitch + columns.first);
            asm("" : "+m"(begin)); // else the compiler takes them out of the register, two instructions for each
            alignas(64) std::int64_t quads[kLanes];
            for (int lane = 0; lane < kLanes; ++lane) {
                __builtin_memcpy(quads + lane, packed + begin[lane], sizeof *quads);
            }
            const Sides sides = sum_quads(quads, weights);
            const Floats mean = floats(sides.left) * (1.0F - columns.centre) + floats(sides.right) * columns.centre;
            store_some(out + x, mean * gain + bias, width - x);
        }
    }
}

} // namespace

void make_linear_tile(const TileJob& job) noexcept {
    job.edges ? make<true>(job) : make<false>(job);
}

} // namespace medplug::MEDPLUG_ISA
