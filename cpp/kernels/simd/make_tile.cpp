// The heart of a rotated, antialiased resize. Each output has a window of its own, at a phase of its own, so nothing
// is shared from output to output but the packed rows beneath: for every output, pairs of rows times pairs of weights
// for eight columns at once; then, for several outputs side by side, pairs of columns times pairs of weights. All of it
// are words, two in an integer, and whole numbers: against floats along the columns that took a quarter off windows of
// eight pixels and two fifths off those of ten.
#include "pairs.hpp"
#include "tile_lanes.hpp"
#include "turn_words.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// A triangle `height` high over the pixels 0, 1, 2 ... of windows, in the units of the axis' TriangleWeights.
struct Triangles {
    Words above, below;
    const std::int32_t* pixels;
    std::int16_t cut;

    Triangles(const TriangleWeights& weights, Floats centre) noexcept : pixels(weights.pixels), cut(weights.cut) {
        const Ints there = nearest(centre * weights.slope), both = there | there << 16;
        above = words(added(both, Ints{} + (weights.lead + weights.height) * 0x10001));
        below = words(added(both, Ints{} + (weights.lead - weights.height) * 0x10001));
    }

    // Of the pixels 2 * pair and 2 * pair + 1.
    template <bool cuts>
    Ints of(int pair) const noexcept {
        const Words here = words(Ints{} + pixels[pair]);
        const Words weights = lesser_unsigned(minus_saturated(above, here), minus_saturated(here, below));
        return (Ints)(cuts && cut != 0 ? scaled(weights, broadcast(cut)) : weights).v;
    }
};

inline Ints plus_both(Ints sum, Ints weights) noexcept {
    return multiply_add(sum, words(weights), words(Ints{} + 0x10001));
}

// Two neighbours' masks: all bits where the stored pixels `first + 2 * pair` and the next lie in the image, else none.
inline Ints inside(Ints first, int pair, const TileAxis& axis) noexcept {
    const Ints left = first + (axis.first + 2 * pair), right = left + 1;
    const Ints left_in = (left >= 0) & (left <= axis.last), right_in = (right >= 0) & (right <= axis.last);
    return (left_in & 0xffff) | right_in << 16;
}

// What is known of a register of outputs before any pixel is looked at.
struct Outputs {
    Ints weights[kMostPairs]; // of the rows, two in an integer
    Ints row_total, row_whole;
    Ints begin; // where the windows do, in the packed tile
    Begins columns;
};

template <bool edges, int known>
inline void prepare(const TileJob& job, float down_to, float across_to, Floats numbers, Outputs& outputs) noexcept {
    Begins rows = begins<edges>(job.rows, down_to, numbers);
    outputs.columns = begins<edges>(job.columns, across_to, numbers);
    // Packed pairs begin at even rows; an odd window begins one earlier, with a weight of zero.
    const Ints odd = rows.first & 1;
    rows.first -= odd;
    rows.centre += floats(odd);

    const Triangles down(job.rows.weights, rows.centre);
    Ints row_total = {}, row_whole = {};
    const int pairs = known > 0 ? known : job.pairs;
    for (int pair = 0; pair < pairs; ++pair) {
        Ints weights = down.of<known == 0>(pair);
        if (edges) {
            row_whole = plus_both(row_whole, weights);
            weights &= inside(rows.first, pair, job.rows);
        }
        row_total = plus_both(row_total, weights);
        outputs.weights[pair] = weights;
    }
    outputs.row_total = row_total;
    outputs.row_whole = row_whole;
    // Both below 2^15.
    outputs.begin = multiply_add(outputs.columns.first, words(rows.first >> 1),
                                 words(Ints{} + static_cast<std::int32_t>(job.pitch)));
}

// Sums over pairs of rows, for eight columns from `begin` of each output on, times the output's weights. `known` is the
// number of pairs where the compiler may know it, else 0.
template <int known>
inline void sum_octets(const TileJob& job, const Outputs& outputs, std::int64_t column, OctetSums& sums) noexcept {
    const auto* begin = reinterpret_cast<const std::int32_t*>(&outputs.begin);
    const std::int32_t* packed = job.packed + column;
    const std::int64_t pitch = job.pitch;
    const int pairs = known > 0 ? known : job.pairs;
#if defined(MEDPLUG_AVX512)
    // Two outputs share a register. Their weights come from the register of all outputs': a broadcast from memory for
    // each would need as many loads as the words.
    __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8);
#pragma GCC unroll 1 // else addresses fill all registers, and the stack
    for (int i = 0; i < 8; ++i, lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(1))) {
        const std::int32_t *one = packed + begin[i], *other = packed + begin[i + 8];
        __m512i sum = _mm512_set1_epi32(kFirstSum);
        for (int k = 0; k < pairs; ++k) {
            const __m256i left = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(one + k * pitch));
            const __m256i right = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(other + k * pitch));
            const __m512i words = _mm512_inserti64x4(_mm512_castsi256_si512(left), right, 1);
            const __m512i weights = _mm512_permutexvar_epi32(lanes, (__m512i)outputs.weights[k]);
            sum = _mm512_dpwssd_epi32(sum, weights, words);
        }
        sums.of[i] = sum;
    }
#else
    const auto* weights = reinterpret_cast<const std::int32_t*>(outputs.weights);
    for (int lane = 0; lane < kLanes; ++lane) {
        const std::int32_t* from = packed + begin[lane];
#if defined(MEDPLUG_AVX2)
        __m256i sum = _mm256_set1_epi32(kFirstSum);
        for (int k = 0; k < pairs; ++k) {
            const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + k * pitch));
            const __m256i weight = _mm256_set1_epi32(weights[k * kLanes + lane]);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(words, weight));
        }
        sums.of[lane] = sum;
#else
        std::uint32_t sum[8]; // beside the window lies anything, whose sums wrap and then weigh nothing
        for (std::uint32_t& column_sum : sum) {
            column_sum = kFirstSum;
        }
        for (int k = 0; k < pairs; ++k, from += pitch) {
            const std::int32_t both = weights[k * kLanes + lane];
            const std::int32_t low = static_cast<std::int16_t>(both & 0xffff), high = both >> 16;
            for (int i = 0; i < 8; ++i) {
                sum[i] += static_cast<std::uint32_t>(low * static_cast<std::int16_t>(from[i] & 0xffff)) +
                          static_cast<std::uint32_t>(high * (from[i] >> 16));
            }
        }
        __builtin_memcpy(sums.of[lane], sum, sizeof sum);
#endif
    }
#endif
}

#if defined(MEDPLUG_AVX512)
// Of sixteen columns an output fills a register of its own. Its words mostly lie in two lines of the cache, which takes
// two loads; but then nothing has to be put together, which takes longer.
template <int known>
inline void sum_two_octets(const TileJob& job, const Outputs& outputs, std::int64_t column, OctetSums& left,
                           OctetSums& right) noexcept {
    const auto* begin = reinterpret_cast<const std::int32_t*>(&outputs.begin);
    const auto* weights = reinterpret_cast<const std::int32_t*>(outputs.weights);
    const std::int64_t pitch = job.pitch;
    const int pairs = known > 0 ? known : job.pairs;
    const auto sum_of = [&](int lane) noexcept {
        const std::int32_t* from = job.packed + column + begin[lane];
        __m512i sum = _mm512_set1_epi32(kFirstSum);
        for (int k = 0; k < pairs; ++k, from += pitch) {
            sum = _mm512_dpwssd_epi32(sum, _mm512_set1_epi32(weights[k * kLanes + lane]), _mm512_loadu_si512(from));
        }
        return sum;
    };
#pragma GCC unroll 1
    for (int i = 0; i < 8; ++i) {
        const __m512i one = sum_of(i), other = sum_of(i + 8);
        left.of[i] = _mm512_shuffle_i64x2(one, other, 0x44);
        right.of[i] = _mm512_shuffle_i64x2(one, other, 0xee);
    }
}
#endif

template <bool edges, int known>
inline Floats sum_windows(const TileJob& job, const Outputs& outputs) noexcept {
    const Triangles across(job.columns.weights, outputs.columns.centre);
    Ints high_sum = {}, low_sum = {}, column_total = {}, column_whole = {};
    const int pairs = (job.taps + 1) / 2;
    const auto add_columns = [&](const OctetSums& sums, int first) noexcept {
        Ints high[4], low[4];
        turn_words(sums, high, low);
        const int count = pairs - first < 4 ? pairs - first : 4;
        for (int i = 0; i < count; ++i) {
            Ints weights = across.of<known == 0>(first + i);
            if (edges) {
                column_whole = plus_both(column_whole, weights);
                weights &= inside(outputs.columns.first, first + i, job.columns);
            }
            column_total = plus_both(column_total, weights);
            high_sum = multiply_add(high_sum, words(high[i]), words(weights));
            low_sum = multiply_add(low_sum, words(low[i]), words(weights));
        }
    };
    int pair = 0;
#if defined(MEDPLUG_AVX512)
    for (; pairs - pair > 4; pair += 8) {
        OctetSums left, right;
        sum_two_octets<known>(job, outputs, 2 * pair, left, right);
        add_columns(left, pair);
        add_columns(right, pair + 4);
    }
#endif
    for (; pair < pairs; pair += 4) {
        OctetSums sums;
        sum_octets<known>(job, outputs, 2 * pair, sums);
        add_columns(sums, pair);
    }
    const Floats sum = floats(high_sum) * 65536.0F + floats(low_sum);
    const Floats total = floats(outputs.row_total) * floats(column_total);
    if (edges && job.fills) {
        // The same sums where all lies inside, so what is outside counts nothing there, whatever it is.
        const Floats whole = floats(outputs.row_whole) * floats(column_whole);
        return sum / whole * job.gain + job.bias + (1.0F - total / whole) * job.background;
    }
    return sum / total * job.gain + job.bias;
}

// Weights are written as whole registers and read one by one, which has to wait until the writing is done: so they are
// made some registers of outputs ahead.
constexpr int kAhead = 4;

template <bool edges, int known>
void make(const TileJob& job) noexcept {
    const Floats last = Floats{} + static_cast<float>(job.width - 1); // no lane beyond what the tile holds
    Outputs outputs[kAhead];
    for (std::int64_t row = 0; row < job.height; ++row) {
        const float down = start_of(job.rows, row), across = start_of(job.columns, row);
        Floats numbers = kLaneIndex;
        for (std::int64_t begin = 0; begin < job.width; begin += kAhead * kLanes) {
            const std::int64_t left = (job.width - begin + kLanes - 1) / kLanes;
            const std::int64_t count = left < kAhead ? left : kAhead;
            for (std::int64_t i = 0; i < count; ++i, numbers += kLanes) {
                prepare<edges, known>(job, down, across, lesser(numbers, last), outputs[i]);
            }
            for (std::int64_t i = 0; i < count; ++i) {
                const std::int64_t x = begin + i * kLanes;
                if (row + 2 < job.height) { // a fresh output lies in no cache: 7 % of a turned radiograph's time
                    __builtin_prefetch(job.out + (row + 2) * job.out_stride + x);
                }
                store_some(job.out + row * job.out_stride + x, sum_windows<edges, known>(job, outputs[i]),
                           job.width - x);
            }
        }
    }
}

} // namespace

void make_tile(const TileJob& job) noexcept {
    if (job.edges) {
        make<true, 0>(job);
        return;
    }
    // The usual scales, with the loop over the pairs unrolled, and with windows too small for weights that are cut.
    static_assert(kFewPixels >= 5.5, "windows of six pairs have at most 11 rows");
    switch (job.columns.weights.cut == 0 ? job.pairs : 0) {
    case 2:
        return make<false, 2>(job);
    case 3:
        return make<false, 3>(job);
    case 4:
        return make<false, 4>(job);
    case 5:
        return make<false, 5>(job);
    case 6:
        return make<false, 6>(job);
    default:
        return make<false, 0>(job);
    }
}

} // namespace medplug::MEDPLUG_ISA
