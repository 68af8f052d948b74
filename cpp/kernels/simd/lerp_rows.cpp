#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

constexpr std::int64_t kBatch = 64; // outputs whose pairs are fetched one by one before they are used

// Four weights for each output, of two columns and two rows; what rounding takes from one row the other gets, so that
// they sum to one exactly.
struct Weights {
    Words first, second;

    Weights(const RowLerp& job, std::int64_t x, Words share) noexcept {
        const Words columns = words(load_ints(job.weights + x));
        second = scaled(columns, share);
        first = minus(columns, second);
    }
};

// Pairs one by one, a batch at a time: the vector loads come long after the stores that they wait for.
template <class Stored, class Read>
void fetch_and_lerp(const RowLerp& job, const Read& read) noexcept {
    alignas(64) std::int32_t first[kBatch], second[kBatch];
    const Ints center = Ints{} + job.center;
    const Words share = broadcast(job.share);
    for (std::int64_t begin = 0; begin < job.width; begin += kBatch) {
        const std::int64_t left = (job.width - begin + kPairPad - 1) / kPairPad * kPairPad;
        const std::int64_t count = left < kBatch ? left : kBatch;
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t at = job.at[begin + i] * static_cast<std::int64_t>(sizeof(Stored));
            first[i] = pair_at<Stored>(job.first + at);
            second[i] = pair_at<Stored>(job.second + at);
        }
        for (std::int64_t i = 0; i < count; i += kLanes) {
            const Weights weights(job, begin + i, share);
            const Ints sum = multiply_add(center, read(words(load_ints(first + i))), weights.first);
            store(job.out + begin + i, floats(multiply_add(sum, read(words(load_ints(second + i))), weights.second)));
        }
    }
}

#if defined(MEDPLUG_AVX512)

// Sixteen pairs out of 64 neighbouring words by one permutation.
template <class Stored, class Read>
void permute_and_lerp(const RowLerp& job, const Read& read) noexcept {
    const auto* first = reinterpret_cast<const Stored*>(job.first);
    const auto* second = reinterpret_cast<const Stored*>(job.second);
    const Ints center = Ints{} + job.center;
    const Words share = broadcast(job.share);
    for (std::int64_t x = 0; x < job.width; x += kLanes) {
        const __m512i places = _mm512_loadu_si512(job.places + 2 * x);
        const Weights weights(job, x, share);
        const std::int64_t start = job.starts[x / kLanes];
        const auto pairs = [&](const Stored* row) noexcept {
            return read({_mm512_permutex2var_epi16(load(row + start).v, places, load(row + start + kWords).v)});
        };
        const Ints sum = multiply_add(center, pairs(first), weights.first);
        store(job.out + x, floats(multiply_add(sum, pairs(second), weights.second)));
    }
}

#endif

} // namespace

template <class Stored>
void lerp_rows(const RowLerp& job) noexcept {
    with_reading(*job.tone, job.clamps, [&](const auto& read) noexcept {
#if defined(MEDPLUG_AVX512)
        if (job.starts != nullptr) {
            permute_and_lerp<Stored>(job, read);
            return;
        }
#endif
        fetch_and_lerp<Stored>(job, read);
    });
}

template void lerp_rows<std::uint8_t>(const RowLerp&) noexcept;
template void lerp_rows<std::int8_t>(const RowLerp&) noexcept;
template void lerp_rows<std::uint16_t>(const RowLerp&) noexcept;
template void lerp_rows<std::int16_t>(const RowLerp&) noexcept;

} // namespace medplug::MEDPLUG_ISA
