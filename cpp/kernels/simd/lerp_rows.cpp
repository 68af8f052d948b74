#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

constexpr std::int64_t kBatch = 64; // outputs whose pairs are fetched one by one before they are used

// Between the rows in floats: exact where the share is zero, and as good as a wider integer elsewhere.
inline Floats between(Floats first, Floats second, float share) noexcept {
    return first + (second - first) * share;
}

// Pairs one by one, a batch at a time: the vector loads come long after the stores that they wait for.
template <class Stored, class Read>
void fetch_and_lerp(const RowLerp& job, const Read& read) noexcept {
    alignas(64) std::int32_t first[kBatch], second[kBatch];
    const Ints center = Ints{} + job.center;
    for (std::int64_t begin = 0; begin < job.width; begin += kBatch) {
        const std::int64_t left = (job.width - begin + kPairPad - 1) / kPairPad * kPairPad;
        const std::int64_t count = left < kBatch ? left : kBatch;
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t at = job.at[begin + i] * static_cast<std::int64_t>(sizeof(Stored));
            first[i] = pair_at<Stored>(job.first + at);
            second[i] = pair_at<Stored>(job.second + at);
        }
        for (std::int64_t i = 0; i < count; i += kOutputs) {
            const Ints weights = load_ints(job.weights + begin + i);
            const Ints a = multiply_add(read(words(load_ints(first + i))), weights) + center;
            const Ints b = multiply_add(read(words(load_ints(second + i))), weights) + center;
            store(job.out + begin + i, between(floats(a), floats(b), job.share));
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
    for (std::int64_t x = 0; x < job.width; x += kOutputs) {
        const __m512i places = _mm512_loadu_si512(job.places + 2 * x);
        const Ints weights = load_ints(job.weights + x);
        const std::int64_t start = job.starts[x / kOutputs];
        const auto lerped = [&](const Stored* row) noexcept {
            const __m512i pairs =
                _mm512_permutex2var_epi16(load(row + start).v, places, load(row + start + kWords).v);
            return floats(multiply_add(read({pairs}), weights) + center);
        };
        store(job.out + x, between(lerped(first), lerped(second), job.share));
    }
}

#endif

} // namespace

template <class Stored>
void lerp_rows(const RowLerp& job) noexcept {
    for (std::int64_t i = 0; i < job.ahead_bytes; i += 64) {
        __builtin_prefetch(job.first + job.ahead + i);
        __builtin_prefetch(job.second + job.ahead + i);
    }
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
