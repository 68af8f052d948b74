// A run of outputs along a line through a volume. Wherever the line goes, an output's eight neighbours are four pairs;
// fetched one by one (gathers of the instruction sets are half as fast), they fill registers, and the rest is
// arithmetic on whole registers, as between two rows.
#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

constexpr int kFraction = (1 << kPositionBits) - 1;

template <class Stored>
inline Ints fetch(const std::byte* base, const std::int32_t* offsets) noexcept {
    const auto at = [&](int i) noexcept { return pair_at<Stored>(base + offsets[i]); };
#if defined(MEDPLUG_AVX512) || defined(MEDPLUG_AVX2)
    const auto four = [&](int i) noexcept {
        __m128i pairs = _mm_cvtsi32_si128(at(i));
        pairs = _mm_insert_epi32(pairs, at(i + 1), 1);
        pairs = _mm_insert_epi32(pairs, at(i + 2), 2);
        return _mm_insert_epi32(pairs, at(i + 3), 3);
    };
    const auto eight = [&](int i) noexcept {
        return _mm256_inserti128_si256(_mm256_castsi128_si256(four(i)), four(i + 4), 1);
    };
#if defined(MEDPLUG_AVX512)
    return (Ints)_mm512_inserti64x4(_mm512_castsi256_si512(eight(0)), eight(8), 1);
#else
    return (Ints)eight(0);
#endif
#else
    Ints pairs = {};
    for (int i = 0; i < kOutputs; ++i) {
        pairs[i] = at(i);
    }
    return pairs;
#endif
}

inline Ints counted() noexcept {
    std::int32_t each[kOutputs];
    for (int i = 0; i < kOutputs; ++i) {
        each[i] = i;
    }
    return load_ints(each);
}

template <class Stored, class Read>
void lerp_run_as(const RunLerp& job, const Read& read) noexcept {
    const Ints lanes = counted();
    const Ints center = Ints{} + job.center;
    const Ints slice_step = Ints{} + job.step[0] * kOutputs;
    const Ints row_step = Ints{} + job.step[1] * kOutputs;
    const Ints column_step = Ints{} + job.step[2] * kOutputs;
    Ints slice = lanes * job.step[0] + job.first[0];
    Ints row = lanes * job.step[1] + job.first[1];
    Ints column = lanes * job.step[2] + job.first[2];
    const std::byte* corners[] = {job.base, job.base + job.row_stride, job.base + job.slice_stride,
                                  job.base + job.slice_stride + job.row_stride};
    for (std::int64_t x = 0; x < job.count; x += kOutputs) {
        alignas(64) std::int32_t offsets[kOutputs];
        store(offsets, (slice >> kPositionBits) * static_cast<std::int32_t>(job.slice_stride) +
                           (row >> kPositionBits) * static_cast<std::int32_t>(job.row_stride) +
                           (column >> kPositionBits) * static_cast<std::int32_t>(sizeof(Stored)));
        if (job.count - x < kOutputs) { // the last lanes lie beyond the run: they read what the first one does
            for (std::int64_t i = job.count - x; i < kOutputs; ++i) {
                offsets[i] = offsets[0];
            }
        }
        constexpr int spare = kPositionBits - kWeightBits;
        const Ints along = (column & kFraction) >> spare;
        const Ints across = (row & kFraction) >> spare;
        // As `pair_weights`: one less the share, and the share, both negated.
        const Words columns = words((along | 0x8000) - (along << 16));
        const Words second = scaled(columns, words(across | across << 16));
        const Words first = minus(columns, second);
        const auto within = [&](int corner) noexcept {
            const Ints sum = multiply_add(center, read(words(fetch<Stored>(corners[corner], offsets))), first);
            return floats(multiply_add(sum, read(words(fetch<Stored>(corners[corner + 1], offsets))), second));
        };
        const Floats near = within(0);
        const Floats value = near + (within(2) - near) * (floats(slice & kFraction) * (1.0F / (kFraction + 1)));
        const Floats result = clamped(value * job.gain + job.bias, Floats{} + job.low, Floats{} + job.high);
        if (job.count - x < kOutputs) {
            std::memcpy(job.out + x, &result, static_cast<std::size_t>(job.count - x) * sizeof(float));
        } else {
            store(job.out + x, result);
        }
        slice += slice_step;
        row += row_step;
        column += column_step;
    }
}

} // namespace

template <class Stored>
void lerp_run(const RunLerp& job) noexcept {
    with_reading(*job.tone, job.clamps, [&](const auto& read) noexcept { lerp_run_as<Stored>(job, read); });
}

template void lerp_run<std::uint8_t>(const RunLerp&) noexcept;
template void lerp_run<std::int8_t>(const RunLerp&) noexcept;
template void lerp_run<std::uint16_t>(const RunLerp&) noexcept;
template void lerp_run<std::int16_t>(const RunLerp&) noexcept;

} // namespace medplug::MEDPLUG_ISA
