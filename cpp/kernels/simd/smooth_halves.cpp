// The fast quality's first step: each two by two stored pixels become the one pixel of an image half as large, which is
// smoothed along its rows and its columns by five weights each, and packed as `pack_rows` packs rows that advance by
// one. A row passes four times through memory that the first-level cache holds; every pixel is read once.
#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

struct Yes {
    static constexpr bool value = true;
};
struct No {
    static constexpr bool value = false;
};

// Two neighbours' weights, in every lane.
inline Words both(std::int16_t first, std::int16_t second) noexcept {
    return words(Ints{} + static_cast<std::int32_t>(static_cast<std::uint16_t>(first) |
                                                    static_cast<std::uint32_t>(second) << 16));
}

// The sums of two rows' words, or their means.
template <class Stored, bool plain, bool means>
void add_rows(const Curve& curve, const std::byte* row, std::int64_t stride, std::int64_t columns, std::int64_t begin,
              std::int64_t end, std::int16_t* to) noexcept {
    const auto* upper = reinterpret_cast<const Stored*>(row);
    const auto* lower = reinterpret_cast<const Stored*>(row + stride);
    const std::byte* soon = row + 12 * stride; // rows lie pages apart, which no hardware prefetcher follows
    for (std::int64_t x = begin; x < end; x += kWords) {
        const std::int64_t left = columns - x;
        const auto read = [&](const Stored* from) noexcept {
            return curve.of<plain>(left >= kWords ? load(from + x) : load_some(from + x, left));
        };
        const Words above = read(upper), below = read(lower);
        store(to + x, means ? average(above, below) : plus(above, below));
        __builtin_prefetch(soon + x * static_cast<std::int64_t>(sizeof(Stored)));
        __builtin_prefetch(soon + stride + x * static_cast<std::int64_t>(sizeof(Stored)));
    }
}

// `wide` has five weights, else there are three, which takes a third less time.
template <class Stored, bool plain, bool means, bool wide>
void smooth_halves_as(const HalfPack& job) noexcept {
    const Curve curve(*job.tone);
    const Smoothing across = job.across, down = job.down;
    const Words here = both(across.centre, across.centre), near = both(across.beside, across.beside),
                far = both(across.beyond, across.beyond);
    const Words outer = both(down.beside, wide ? down.beyond : down.centre), inner = both(down.centre, 0);
    const int shift = job.shift;
    // Where a mean loses bits of its own it is cut, so that none leaves the window.
    const Ints rounding = Ints{} + (shift > kSmoothingBits + 1 ? 0 : 1 << shift >> 1),
               half = Ints{} + (1 << (kSmoothingBits - 1) >> 1);
    const std::int64_t pitch = job.pitch;
    constexpr std::int64_t reach = wide ? 2 : 1, before = 2 * reach; // rows that a sum waits for
    const std::int16_t* words_of_row = job.words;
    std::int32_t* smooth = job.sums + 4 * pitch;
    const std::byte* row = job.rows;
    for (std::int64_t r = 0; r < job.count; ++r, row += 2 * job.stride) {
        const std::int64_t begin = job.begins[r], end = job.ends[r];
        add_rows<Stored, plain, means>(curve, row, job.stride, 2 * job.columns, 2 * begin, 2 * end, job.words);
        std::int32_t* rows[before]; // those before this one, the oldest first, which makes room for it
        for (std::int64_t i = 0; i < before; ++i) {
            rows[i] = job.sums + (r + i) % before * pitch;
        }
        const auto make_row = [&](auto sums, auto packs) noexcept {
            for (std::int64_t x = begin; x < end; x += kLanes) {
                const std::int16_t* from = words_of_row + 2 * x;
                Ints sum = multiply_add(rounding, load(from - 2), near);
                sum = multiply_add(sum, load(from), here);
                sum = multiply_add(sum, load(from + 2), near);
                if constexpr (wide) {
                    sum = multiply_add(multiply_add(sum, load(from - 4), far), load(from + 4), far);
                }
                sum >>= shift;
                if constexpr (decltype(sums)::value) {
                    Ints middle;
                    if constexpr (wide) {
                        const Ints beside = added(load_ints(rows[1] + x), load_ints(rows[3] + x));
                        const Ints beyond = added(load_ints(rows[0] + x), sum);
                        middle = multiply_add(half, words(beside | beyond << 16), outer);
                        middle = multiply_add(middle, words(load_ints(rows[2] + x)), inner);
                    } else {
                        const Ints beside = added(load_ints(rows[0] + x), sum);
                        middle = multiply_add(half, words(beside | load_ints(rows[1] + x) << 16), outer);
                    }
                    middle >>= kSmoothingBits - 1;
                    if constexpr (decltype(packs)::value) {
                        store(job.packed + (r - reach - 1) * pitch + x, load_ints(smooth + x) | middle << 16);
                    }
                    store(smooth + x, middle);
                }
                store(rows[0] + x, sum);
            }
        };
        if (r > before) {
            make_row(Yes{}, Yes{});
        } else if (r == before) {
            make_row(Yes{}, No{});
        } else {
            make_row(No{}, No{});
        }
    }
}

template <class Stored, bool plain, bool means>
void smooth_halves_of(const HalfPack& job) noexcept {
    job.across.beyond != 0 || job.down.beyond != 0 ? smooth_halves_as<Stored, plain, means, true>(job)
                                                   : smooth_halves_as<Stored, plain, means, false>(job);
}

} // namespace

template <class Stored>
void smooth_halves(const HalfPack& job) noexcept {
    if (job.tone->plain) {
        job.means ? smooth_halves_of<Stored, true, true>(job) : smooth_halves_of<Stored, true, false>(job);
    } else {
        job.means ? smooth_halves_of<Stored, false, true>(job) : smooth_halves_of<Stored, false, false>(job);
    }
}

template void smooth_halves<std::uint8_t>(const HalfPack&) noexcept;
template void smooth_halves<std::int8_t>(const HalfPack&) noexcept;
template void smooth_halves<std::uint16_t>(const HalfPack&) noexcept;
template void smooth_halves<std::int16_t>(const HalfPack&) noexcept;

} // namespace medplug::MEDPLUG_ISA
