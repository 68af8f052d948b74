// The heart of a rotated, antialiased resize. Each output has a window of its own, at a phase of its own, so nothing
// is shared from output to output but the packed rows beneath: for every output, pairs of rows times pairs of weights
// for eight columns at once; then, for several outputs side by side, the weights along the columns.
#include "tile_lanes.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// Sums over pairs of rows, for eight columns from `begin` on, times one output's weights, two in an integer. `known` is
// the number of pairs where the compiler may know it, else 0.
template <int known>
inline void sum_octet(const std::int32_t* packed, std::int64_t pitch, std::int64_t begin, const std::int32_t* weights,
                      int pairs, std::int32_t* to) noexcept {
    const int count = known > 0 ? known : pairs;
#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)
    __m256i sum = _mm256_setzero_si256();
    for (int k = 0; k < count; ++k) {
        const std::int32_t* row = packed + k * pitch; // the same for every output
        const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + begin));
        const __m256i weight = _mm256_set1_epi32(weights[k * kLanes]);
#if defined(MEDPLUG_AVX512)
        sum = _mm256_dpwssd_epi32(sum, weight, words);
#else
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(words, weight));
#endif
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), sum);
#else
    std::uint32_t sum[8] = {}; // beside the window lies anything, whose sums wrap and then weigh nothing
    const std::int32_t* from = packed + begin;
    for (int k = 0; k < count; ++k, from += pitch, weights += kLanes) {
        const std::int32_t low = static_cast<std::int16_t>(*weights & 0xffff), high = *weights >> 16;
        for (int i = 0; i < 8; ++i) {
            sum[i] += static_cast<std::uint32_t>(low * static_cast<std::int16_t>(from[i] & 0xffff)) +
                      static_cast<std::uint32_t>(high * (from[i] >> 16));
        }
    }
    __builtin_memcpy(to, sum, sizeof sum);
#endif
}

#if defined(MEDPLUG_AVX2)

// Eight by eight, about the diagonal.
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

#endif

// [kLanes outputs, 8 columns] to [8 columns, kLanes outputs].
inline void turn_octets(const std::int32_t* from, Ints* to) noexcept {
#if defined(MEDPLUG_AVX512)
    __m512i a[8], b[8];
    for (int i = 0; i < 8; ++i) { // outputs i and i + 8 share a register
        a[i] = _mm512_inserti64x4(
            _mm512_castsi256_si512(_mm256_load_si256(reinterpret_cast<const __m256i*>(from + 8 * i))),
            _mm256_load_si256(reinterpret_cast<const __m256i*>(from + 8 * (i + 8))), 1);
    }
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const __m512i high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    for (int i = 0; i < 4; ++i) {
        to[i] = (Ints)_mm512_permutex2var_epi64(a[i], low, a[4 + i]);
        to[4 + i] = (Ints)_mm512_permutex2var_epi64(a[i], high, a[4 + i]);
    }
#elif defined(MEDPLUG_AVX2)
    turn_eight(reinterpret_cast<const float*>(from), 8, reinterpret_cast<float*>(to), kLanes); // moved as they are
#else
    auto* out = reinterpret_cast<std::int32_t*>(to);
    for (int i = 0; i < 8; ++i) {
        for (int lane = 0; lane < kLanes; ++lane) {
            out[i * kLanes + lane] = from[lane * 8 + i];
        }
    }
#endif
}

// A triangle `height` high over the pixels 0, 1, 2 ...: its slope at its pixels is precomputed, once for a tile.
struct Triangle {
    Floats centre; // times the slope
    const float* slopes;
    float height;

    Floats at(int k) const noexcept { return not_negative(height - magnitude(slopes[k] - centre)); }
};

// All bits where the stored pixel `first + k` lies in the image, else none.
inline Ints inside(Ints first, int k, std::int32_t tile_first, std::int32_t last) noexcept {
    const Ints pixel = first + (tile_first + k);
    return (pixel >= 0) & (pixel <= last);
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

    const Triangle down{rows.centre * job.rows.slopes[1], job.rows.slopes, job.weight_scale};
    Ints row_total = {}, row_whole = {};
    const int pairs = known > 0 ? known : job.pairs;
    for (int pair = 0; pair < pairs; ++pair) {
        Ints both[2];
        for (int i = 0; i < 2; ++i) {
            both[i] = nearest(down.at(2 * pair + i));
            if (edges) {
                row_whole += both[i];
                both[i] &= inside(rows.first, 2 * pair + i, job.rows.first, job.rows.last);
            }
            row_total += both[i];
        }
        outputs.weights[pair] = both[0] | both[1] << 16;
    }
    outputs.row_total = row_total;
    outputs.row_whole = row_whole;
    outputs.begin = (rows.first >> 1) * static_cast<std::int32_t>(job.pitch) + outputs.columns.first;
}

template <bool edges, int known>
inline Floats sum_windows(const TileJob& job, const Outputs& outputs) noexcept {
    const Begins columns = outputs.columns;
    const Triangle across{columns.centre * job.columns.slopes[1], job.columns.slopes, 1.0F};
    const auto* weights = reinterpret_cast<const std::int32_t*>(outputs.weights);
    const auto* begin = reinterpret_cast<const std::int32_t*>(&outputs.begin);
    Floats sum = {}, column_total = {}, column_whole = {};
    for (int octet = 0; 8 * octet < job.taps; ++octet) {
        alignas(64) std::int32_t sums[kLanes * 8];
        for (int lane = 0; lane < kLanes; ++lane) {
            sum_octet<known>(job.packed + 8 * octet, job.pitch, begin[lane], weights + lane, job.pairs,
                             sums + 8 * lane);
        }
        Ints turned[8];
        turn_octets(sums, turned);
        const int taps = job.taps - 8 * octet < 8 ? job.taps - 8 * octet : 8;
        for (int i = 0; i < taps; ++i) {
            const int k = 8 * octet + i;
            Floats weight = across.at(k);
            if (edges) {
                column_whole += weight;
                weight = (Floats)((Ints)weight & inside(columns.first, k, job.columns.first, job.columns.last));
            }
            column_total += weight;
            sum += weight * floats(turned[i]);
        }
    }
    if (edges && job.fills) {
        // The same sums where all lies inside, so what is outside counts nothing there, whatever it is.
        const Floats whole = floats(outputs.row_whole) * column_whole;
        const Floats share = floats(outputs.row_total) * column_total / whole;
        return sum / whole * job.gain + job.bias + (1.0F - share) * job.background;
    }
    return sum / (floats(outputs.row_total) * column_total) * job.gain + job.bias;
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
    switch (job.pairs) { // the usual scales, with the loop over the pairs unrolled
    case 2:
        return make<false, 2>(job);
    case 3:
        return make<false, 3>(job);
    case 4:
        return make<false, 4>(job);
    case 5:
        return make<false, 5>(job);
    default:
        return make<false, 0>(job);
    }
}

} // namespace medplug::MEDPLUG_ISA
