// A tile of outputs along any axes, from a box of packed pairs or from the volume itself. Every output reads two
// places, one in each of two slices; the rest is arithmetic on these, as between two rows.
#include "fetch.hpp"

#include <type_traits>

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

// Beyond the row positions may leave 32 bits; nothing is read there.
inline Ints moved(Ints from, Ints times, std::int32_t step) noexcept {
    return (Ints)((Wrapping)from + (Wrapping)times * static_cast<std::uint32_t>(step));
}

// What differs from box to volume: where the outputs' neighbours are, and the words that these are.
template <bool gathers>
struct Box {
    const TileLerp& job;
    const Words pitches = words(Ints{} + (job.row_pitch << 16 | job.slice_pitch));

    Ints offsets(Ints slice, Ints row, Ints column) const noexcept {
        const Ints place = slice >> kPositionBits | (row >> (kPositionBits - 16) & ~0xffff);
        return multiply_add(column >> kPositionBits, words(place), pitches);
    }

    // Within a slice, by the weights of a column's two rows and of the next column's.
    Floats within(Ints at, int slice, Ints center, Words same, Words next) const noexcept {
        const Columns columns = fetch<gathers>(job.packed + slice * job.slice_pitch, at);
        return floats(multiply_add(multiply_add(center, columns.here, same), columns.next, next));
    }
};

template <class Neighbours>
inline void make_row(const TileLerp& job, const Neighbours& neighbours, const std::int32_t* first,
                     float* out) noexcept {
    const Ints lanes = counted();
    const Ints center = Ints{} + job.center;
    Ints slice = moved(Ints{} + first[0], lanes, job.step[0][2]);
    Ints row = moved(Ints{} + first[1], lanes, job.step[1][2]);
    Ints column = moved(Ints{} + first[2], lanes, job.step[2][2]);
    for (std::int64_t x = 0; x < job.size[2]; x += kLanes) {
        const std::int64_t here = job.size[2] - x;
        const Ints beyond = lanes >= static_cast<std::int32_t>(here < kLanes ? here : kLanes);
        // Beyond the row, and perhaps beyond the box, the box's first pixel does.
        const Ints offsets = neighbours.offsets(slice, row, column) & ~beyond;
        const Ints across = (row & kFraction) >> kSpare;
        const Ints along = (column & kFraction) >> kSpare;
        // As `pair_weights`: one less the share, and the share, both negated.
        const Words rows = words((across | 0x8000) - (across << 16));
        const Words next = scaled(rows, words(along | along << 16));
        const Words same = minus(rows, next);
        const Floats near = neighbours.within(offsets, 0, center, same, next);
        const Floats far = neighbours.within(offsets, 1, center, same, next);
        const Floats value = near + (far - near) * (floats(slice & kFraction) * (1.0F / (kFraction + 1)));
        const Floats result = clamped(value * job.gain + job.bias, Floats{} + job.low, Floats{} + job.high);
        store_some(out + x, result, here);
        slice = moved(slice, Ints{} + kLanes, job.step[0][2]);
        row = moved(row, Ints{} + kLanes, job.step[1][2]);
        column = moved(column, Ints{} + kLanes, job.step[2][2]);
    }
}

template <class Neighbours>
void make_rows(const TileLerp& job, const Neighbours& neighbours) noexcept {
    // Slices within rows: two of three cells that an output reads were read for the slice before.
    for (std::int32_t r = 0; r < job.size[1]; ++r) {
        for (std::int32_t s = 0; s < job.size[0]; ++s) {
            std::int32_t first[3];
            for (int i = 0; i < 3; ++i) {
                first[i] = job.first[i] + s * job.step[i][0] + r * job.step[i][1];
            }
            make_row(job, neighbours, first, job.out + s * job.out_slice + r * job.out_row);
        }
    }
}

#if defined(MEDPLUG_AVX512)

// Two neighbours of a row are one integer of the volume itself, and a gather takes them for sixteen outputs: nothing
// need be packed, which takes as long as all the rest.
template <class Read>
struct Volume {
    const TileLerp& job;
    const Read& read;

    Ints offsets(Ints slice, Ints row, Ints column) const noexcept {
        const Ints along = moved(column >> kPositionBits, column >> kPositionBits, 1);
        const Ints down = moved(along, row >> kPositionBits, static_cast<std::int32_t>(job.row_stride));
        return moved(down, slice >> kPositionBits, static_cast<std::int32_t>(job.slice_stride));
    }

    Floats within(Ints at, int slice, Ints center, Words same, Words next) const noexcept {
        const auto weights = (Ints)same.v, others = (Ints)next.v;
        const Words upper = words((weights & 0xffff) | others << 16);
        const Words lower = words((weights >> 16 & 0xffff) | (others & ~0xffff));
        const std::byte* from = job.stored + slice * job.slice_stride;
        const Ints sum = multiply_add(center, pairs(from, at), upper);
        return floats(multiply_add(sum, pairs(from + job.row_stride, at), lower));
    }

    Words pairs(const std::byte* from, Ints at) const noexcept {
        return read({_mm512_i32gather_epi32((__m512i)at, from, 1)});
    }
};

#endif

} // namespace

void lerp_tile(const TileLerp& job) noexcept {
    gathers_well() ? make_rows(job, Box<true>{job}) : make_rows(job, Box<false>{job});
}

template <class Stored>
void lerp_in_place([[maybe_unused]] const TileLerp& job) noexcept {
#if defined(MEDPLUG_AVX512) // elsewhere nothing gathers well
    with_reading(*job.tone, job.clamps, [&](const auto& read) noexcept {
        make_rows(job, Volume<std::remove_reference_t<decltype(read)>>{job, read});
    });
#endif
}

template void lerp_in_place<std::uint16_t>(const TileLerp&) noexcept;
template void lerp_in_place<std::int16_t>(const TileLerp&) noexcept;

} // namespace medplug::MEDPLUG_ISA
