// The neighbouring words that an output is made of are one load of 128 bits, or a few. A register takes those of
// several outputs; what their products' sums leave of each, four integers side by side, a tree of additions brings
// together. (To turn 16 rows about, so that a register holds a column of them, takes twice as long.)
#include "kernels.hpp"
#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

template <int number>
struct Count {
    static constexpr int value = number;
};

// Rows whose windows are taken together: where one begins is then looked up once for all of them.
constexpr std::int64_t kTogether = 2;

#if defined(MEDPLUG_AVX512)

constexpr int kEach = 4; // outputs in a register

inline Words windows(const std::int16_t* row, const std::int32_t* first) noexcept {
    const auto window = [&](int k) noexcept {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + first[k]));
    };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(window(0)), window(1), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(window(2)), window(3), 1);
    return {_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
}

inline Ints gathered(const Ints* sums) noexcept {
    const auto halved = [](Ints one, Ints other) noexcept {
        const auto a = (__m512i)one, b = (__m512i)other;
        return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    };
    const __m512i left = halved(sums[0], sums[1]), right = halved(sums[2], sums[3]);
    const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(left, right), _mm512_unpackhi_epi64(left, right));
    return (Ints)_mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), all);
}

#elif defined(MEDPLUG_AVX2)

constexpr int kEach = 2;

inline Words windows(const std::int16_t* row, const std::int32_t* first) noexcept {
    const auto window = [&](int k) noexcept {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + first[k]));
    };
    return {_mm256_inserti128_si256(_mm256_castsi128_si256(window(0)), window(1), 1)};
}

inline Ints gathered(const Ints* sums) noexcept {
    const auto halved = [](Ints one, Ints other) noexcept {
        const auto a = (__m256i)one, b = (__m256i)other;
        return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    };
    const __m256i left = halved(sums[0], sums[1]), right = halved(sums[2], sums[3]);
    const __m256i all = _mm256_add_epi32(_mm256_unpacklo_epi64(left, right), _mm256_unpackhi_epi64(left, right));
    return (Ints)_mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

#else

constexpr int kEach = 1;

inline Words windows(const std::int16_t* row, const std::int32_t* first) noexcept {
    return load(row + first[0]);
}

inline Ints gathered(const Ints* sums) noexcept {
    Ints all;
    for (int i = 0; i < kLanes; ++i) {
        all[i] = sums[i][0] + sums[i][1] + sums[i][2] + sums[i][3];
    }
    return all;
}

#endif

static_assert(kLanes == 4 * kEach, "four registers hold the outputs of one");

// kLanes outputs of each of `rows` rows that lie `pitch` apart.
template <int rows>
inline __attribute__((always_inline)) void sum_windows(const std::int16_t* row, std::int64_t pitch,
                                                       const std::int32_t* first, const std::int16_t* weights,
                                                       std::int64_t chunks, Ints* to) noexcept {
    Ints sums[rows][4] = {};
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk, row += kChunk, weights += kColumnGroup * kChunk) {
        for (int i = 0; i < 4; ++i) {
            const Words own = load(weights + i * kEach * kChunk);
            for (int r = 0; r < rows; ++r) {
                sums[r][i] = multiply_add(sums[r][i], windows(row + r * pitch, first + i * kEach), own);
            }
        }
    }
    for (int r = 0; r < rows; ++r) {
        to[r] = gathered(sums[r]);
    }
}

// `known` is the number of chunks where the compiler may know it, else 0.
template <int known>
void sum_as(const ColumnSum& job) noexcept {
    const std::int64_t chunks = known > 0 ? known : job.chunks, pitch = job.pitch, stride = job.out_stride;
    const std::int64_t width = job.width, rows = job.rows;
    const Floats gain = Floats{} + job.gain, bias = Floats{} + job.bias;
    const std::int16_t* weights = job.weights;
    for (std::int64_t x = 0; x < width; x += kColumnGroup, weights += chunks * kColumnGroup * kChunk) {
        for (std::int64_t i = 0; i < kColumnGroup && x + i < width; i += kLanes) {
            const std::int32_t* first = job.first + x + i;
            const std::int16_t* row = job.panel;
            float* out = job.out + x + i;
            const auto make = [&](auto count) noexcept {
                Ints sums[decltype(count)::value];
                sum_windows<decltype(count)::value>(row, pitch, first, weights + i * kChunk, chunks, sums);
                for (int r = 0; r < decltype(count)::value; ++r, row += pitch, out += stride) {
                    store_some(out, floats(sums[r]) * gain + bias, width - x - i);
                }
            };
            std::int64_t left = rows;
            for (; left >= kTogether; left -= kTogether) {
                make(Count<kTogether>{});
            }
            for (; left > 0; --left) {
                make(Count<1>{});
            }
        }
    }
}

} // namespace

void sum_columns(const ColumnSum& job) noexcept {
    job.chunks == 1 ? sum_as<1>(job) : sum_as<0>(job);
}

} // namespace medplug::MEDPLUG_ISA
