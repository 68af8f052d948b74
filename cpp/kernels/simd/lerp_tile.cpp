// A tile of outputs along any axes, from a box of packed pairs. Every output reads two places, one in each of two
// slices; the rest is arithmetic on these, as between two rows.
#include "fetch.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

constexpr int kFraction = (1 << kPositionBits) - 1;
constexpr int kSpare = kPositionBits - kWeightBits;

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

template <bool gathers>
inline void make_row(const TileLerp& job, const std::int32_t* first, float* out) noexcept {
    const Ints lanes = counted();
    const Ints center = Ints{} + job.center;
    const Words pitches = words(Ints{} + (job.row_pitch << 16 | job.slice_pitch));
    Ints slice = moved(Ints{} + first[0], lanes, job.step[0][2]);
    Ints row = moved(Ints{} + first[1], lanes, job.step[1][2]);
    Ints column = moved(Ints{} + first[2], lanes, job.step[2][2]);
    for (std::int64_t x = 0; x < job.size[2]; x += kLanes) {
        const Ints place = slice >> kPositionBits | (row >> (kPositionBits - 16) & ~0xffff);
        const std::int64_t here = job.size[2] - x;
        const Ints beyond = lanes >= static_cast<std::int32_t>(here < kLanes ? here : kLanes);
        // Beyond the row, and perhaps beyond the box, the box's first pixel does.
        const Ints offsets = multiply_add(column >> kPositionBits, words(place), pitches) & ~beyond;
        const Ints across = (row & kFraction) >> kSpare;
        const Ints along = (column & kFraction) >> kSpare;
        // As `pair_weights`: one less the share, and the share, both negated.
        const Words rows = words((across | 0x8000) - (across << 16));
        const Words next = scaled(rows, words(along | along << 16));
        const Words same = minus(rows, next);
        const Columns upper = fetch<gathers>(job.packed, offsets),
                      lower = fetch<gathers>(job.packed + job.slice_pitch, offsets);
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

template <bool gathers>
void make_tile_rows(const TileLerp& job) noexcept {
    // Slices within rows: two of three cells that an output reads were read for the slice before.
    for (std::int32_t r = 0; r < job.size[1]; ++r) {
        for (std::int32_t s = 0; s < job.size[0]; ++s) {
            std::int32_t first[3];
            for (int i = 0; i < 3; ++i) {
                first[i] = job.first[i] + s * job.step[i][0] + r * job.step[i][1];
            }
            make_row<gathers>(job, first, job.out + s * job.out_slice + r * job.out_row);
        }
    }
}

} // namespace

void lerp_tile(const TileLerp& job) noexcept {
    gathers_well() ? make_tile_rows<true>(job) : make_tile_rows<false>(job);
}

} // namespace medplug::MEDPLUG_ISA
