// Trilinear resampling along any axes, a tile of outputs at a time. Where the processor gathers well and the tile lies
// inside the volume it is read there. Else what the tile reads is packed into a box of words, which fits the cache
// whatever the volume's strides are (rows of 2^n bytes would all compete for the same places) and goes beyond the
// volume where the tile does, so that the kernel asks nothing.
#include "resample_oblique.hpp"

#include "oblique_border.hpp"
#include "scratch.hpp"
#include "tile_box.hpp"
#include "whole_rows.hpp"

namespace medplug {

namespace {

constexpr std::int64_t kBoxCells = std::int64_t{1} << 18; // 1 MiB
constexpr double kFarthest = 1 << 30;                     // pixels: beyond, positions are too coarse
constexpr double kLeastVolume = 1e-30; // of an output, in stored pixels: a box is found by the inverse map

template <class Stored>
auto pack_box() noexcept {
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        return kernels().pack_box_uint8;
    } else if constexpr (std::is_same_v<Stored, std::int8_t>) {
        return kernels().pack_box_int8;
    } else if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        return kernels().pack_box_uint16;
    } else {
        return kernels().pack_box_int16;
    }
}

template <class Stored>
void lerp_in_place(const TileLerp& job) noexcept {
    if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        kernels().lerp_in_place_uint16(job);
    } else if constexpr (std::is_same_v<Stored, std::int16_t>) {
        kernels().lerp_in_place_int16(job);
    }
}

// Tiles as large as their boxes allow; size 0 where none does.
struct Tiling {
    Shape size{24, 24, 48};
    Shape count{};
    Shape extent{};
    std::int64_t row_pitch = 0, slice_pitch = 0;

    Tiling(const Affine& map, const Shape& out) noexcept {
        constexpr std::int64_t most_pitch = (1 << 15) - 1;
        for (std::size_t i = 0; i < 3; ++i) {
            size[i] = std::min(size[i], out[i]);
        }
        for (;; size[longest()] = (size[longest()] + 1) / 2) {
            extent = TileBox::extent_of(map, size);
            row_pitch = (extent[2] + 2 * kBoxGroup - 1) / kBoxGroup * kBoxGroup;
            slice_pitch = row_pitch * extent[1];
            const std::int64_t side = std::max({extent[0], extent[1], extent[2]});
            if (side <= kMostBoxSide && slice_pitch <= most_pitch && slice_pitch * extent[0] <= kBoxCells) {
                break;
            }
            if (size == Shape{1, 1, 1}) {
                size = {};
                return;
            }
        }
        // Rows in equal parts, of whole registers.
        const std::int64_t parts = (out[2] + size[2] - 1) / size[2];
        size[2] = std::min(size[2], ((out[2] + parts - 1) / parts + kBoxGroup - 1) / kBoxGroup * kBoxGroup);
        for (std::size_t i = 0; i < 3; ++i) {
            count[i] = (out[i] + size[i] - 1) / size[i];
        }
    }

    std::size_t longest() const noexcept {
        return static_cast<std::size_t>(std::max_element(size.begin(), size.end()) - size.begin());
    }
    std::int64_t tiles() const noexcept { return count[0] * count[1] * count[2]; }
    std::int64_t rows() const noexcept { return extent[1]; }

    struct Parts { // of a thread's scratch memory, in bytes
        std::int64_t rows, begins, ends, whole;
    };
    Parts parts() const noexcept {
        constexpr auto cell = static_cast<std::int64_t>(sizeof(std::int32_t));
        const std::int64_t rows_at = slice_pitch * extent[0] * cell;
        const std::int64_t begins = rows_at + (extent[1] + 1) * static_cast<std::int64_t>(sizeof(std::byte*));
        return {rows_at, begins, begins + extent[1] * cell, begins + 2 * extent[1] * cell};
    }
};

template <class Stored>
struct Oblique {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const OutputView& out;
    const std::vector<LerpChannel>& channels;
    const Tiling& tiling;

    bool outside(const TileBox& box) const noexcept {
        for (std::size_t i = 0; i < 3; ++i) {
            if (box.first[i] + box.extent[i] <= 0 || box.first[i] >= stored.shape[i]) {
                return true;
            }
        }
        return false;
    }

    bool inside(const TileBox& box) const noexcept {
        for (std::size_t i = 0; i < 3; ++i) {
            if (box.first[i] < 0 || box.first[i] + box.extent[i] > stored.shape[i]) {
                return false;
            }
        }
        return true;
    }

    void make_tile(std::int64_t c, const Shape& begin, const Shape& end, std::byte* scratch) const noexcept {
        const LerpChannel& channel = channels[static_cast<std::size_t>(c)];
        const TileBox box(how.to_stored, begin, end);
        const bool fills = how.border == Border::constant;
        const bool filled = fills && outside(box);
        if (!filled) {
            make_outputs(channel, box, c, begin, end, scratch);
        }
        const bool repairs = fills && !channel.fill_is_word && !filled && !inside(box);
        const auto fill = static_cast<float>(channel.fill * channel.gain + channel.bias);
        const ObliqueBorder<Stored> border(stored, how.to_stored);
        for (std::int64_t s = begin[0]; s < end[0]; ++s) {
            for (std::int64_t r = begin[1]; r < end[1]; ++r) {
                float* target = out.row(c, s, r);
                if (filled) {
                    std::fill(target + begin[2], target + end[2], std::clamp(fill, channel.low, channel.high));
                } else if (repairs) {
                    border.finish_row(channel, s, r, begin[2], end[2], target);
                }
                for (std::int64_t x = begin[2]; channel.finish != nullptr && x < end[2]; ++x) {
                    target[x] = static_cast<float>((*channel.finish)(static_cast<double>(target[x])));
                }
            }
        }
    }

    // Whether two neighbours of a row are one integer, and a box's places 32 bits.
    bool reads_in_place() const noexcept {
        const std::int64_t farthest = std::abs(stored.strides[0]) + std::abs(stored.strides[1]);
        return gathers_well() && sizeof(Stored) == 2 && farthest < (std::int64_t{1} << 31) / kMostBoxSide;
    }

    // What is gathered comes in no order that the hardware would foresee; this takes a fifth off a turned CT.
    static void bring_near(const TileBox& box, const TileLerp& job) noexcept {
        constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(Stored)); // pixels
        for (std::int64_t s = 0; s < box.extent[0]; ++s) {
            for (std::int64_t r = 0; r < box.extent[1]; ++r) {
                std::int64_t from = 0, to = 0;
                box.columns(s, r, from, to);
                const std::byte* row = job.stored + s * job.slice_stride + r * job.row_stride;
                for (std::int64_t x = from; from < to && x < to + line - 1; x += line) {
                    __builtin_prefetch(row + x * static_cast<std::int64_t>(sizeof(Stored)), 0, 2);
                }
            }
        }
    }

    void pack(const LerpChannel& channel, const TileBox& box, std::byte* scratch) const noexcept {
        const Tiling::Parts parts = tiling.parts();
        auto* rows = reinterpret_cast<const std::byte**>(scratch + parts.rows);
        auto* begins = reinterpret_cast<std::int32_t*>(scratch + parts.begins);
        auto* ends = reinterpret_cast<std::int32_t*>(scratch + parts.ends);
        const bool fills = how.border == Border::constant;
        const auto nearest = [&](std::size_t i, std::int64_t pixel) {
            return std::clamp<std::int64_t>(pixel, 0, stored.shape[i] - 1);
        };
        for (std::int64_t s = 0; s < box.extent[0]; ++s) {
            const std::int64_t slice = nearest(0, box.first[0] + s);
            for (std::int64_t r = 0; r < box.extent[1]; ++r) {
                const std::int64_t row = nearest(1, box.first[1] + r);
                const bool there = slice == box.first[0] + s && row == box.first[1] + r;
                rows[r] = there || !fills ? stored.row(channel.stored, slice, row) : nullptr;
                std::int64_t from = 0, to = 0;
                box.columns(s, r, from, to);
                begins[r] = static_cast<std::int32_t>(from / kBoxGroup * kBoxGroup);
                ends[r] = static_cast<std::int32_t>(to);
            }
            BoxRows job{};
            job.rows = rows;
            job.count = box.extent[1] - 1; // the last row is only ever the lower one of a pair
            job.columns = stored.shape[2];
            job.first_column = box.first[2];
            job.begins = begins;
            job.ends = ends;
            job.tone = &channel.tone;
            job.clamps = channel.clamps;
            job.fills = fills;
            job.fill = channel.fill_word;
            job.packed = reinterpret_cast<std::int32_t*>(scratch) + s * tiling.slice_pitch;
            job.pitch = tiling.row_pitch;
            job.ahead = slice + 1 < stored.shape[0] ? stored.strides[0] : 0;
            pack_box<Stored>()(job);
        }
    }

    void make_outputs(const LerpChannel& channel, const TileBox& box, std::int64_t c, const Shape& begin,
                      const Shape& end, std::byte* scratch) const noexcept {
        constexpr double one = 1 << kPositionBits;
        TileLerp job{};
        job.packed = reinterpret_cast<const std::int32_t*>(scratch);
        job.row_pitch = static_cast<std::int32_t>(tiling.row_pitch);
        job.slice_pitch = static_cast<std::int32_t>(tiling.slice_pitch);
        for (std::size_t i = 0; i < 3; ++i) {
            // Within a slice weights are cut to kWeightBits: half a unit more makes that rounding.
            const std::int32_t half = i == 0 ? 0 : 1 << (kPositionBits - kWeightBits - 1);
            job.first[i] = static_cast<std::int32_t>(std::nearbyint(box.position[i] * one)) + half;
            job.size[i] = end[i] - begin[i];
            for (std::size_t j = 0; j < 3; ++j) {
                // A tile of one output makes no step, however long it is.
                const double step = end[j] - begin[j] > 1 ? how.to_stored.linear[i][j] : 0.0;
                job.step[i][j] = static_cast<std::int32_t>(std::nearbyint(step * one));
            }
        }
        job.center = channel.center_sum();
        job.gain = static_cast<float>(channel.gain);
        job.bias = static_cast<float>(channel.bias);
        job.low = channel.low;
        job.high = channel.high;
        job.out = out.row(c, begin[0], begin[1]) + begin[2];
        job.out_slice = out.shape[1] * out.shape[2];
        job.out_row = out.shape[2];
        if (reads_in_place() && inside(box)) {
            job.stored = stored.row(channel.stored, box.first[0], box.first[1]) +
                         box.first[2] * static_cast<std::int64_t>(sizeof(Stored));
            job.row_stride = stored.strides[1];
            job.slice_stride = stored.strides[0];
            job.tone = &channel.tone;
            job.clamps = channel.clamps;
            bring_near(box, job);
            lerp_in_place<Stored>(job);
            return;
        }
        pack(channel, box, scratch);
        kernels().lerp_tile(job);
    }
};

bool stays_near(const Affine& map, const Shape& out) noexcept {
    for (std::size_t i = 0; i < 3; ++i) {
        double far = std::abs(map.shift[i]);
        for (std::size_t j = 0; j < 3; ++j) {
            far += std::abs(map.linear[i][j]) * static_cast<double>(out[j]);
        }
        if (!(far < kFarthest)) {
            return false;
        }
    }
    return true;
}

} // namespace

template <class Stored>
bool resample_oblique(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads) {
    const auto axes = how.axes(stored.shape);
    if (how.filter == Filter::nearest || stored.shape[0] < 2 ||
        std::max({axes[0].support, axes[1].support, axes[2].support}) > 1.0 || !stays_near(how.to_stored, out.shape) ||
        std::abs(determinant(how.to_stored.linear)) < kLeastVolume) {
        return false;
    }
    const auto channels = lerp_channels<Stored>(how, out.channels, stored.channels);
    const Tiling tiling(how.to_stored, out.shape);
    if (channels.empty() || tiling.tiles() == 0) {
        return false;
    }
    if (!worth_copying(stored)) {
        return false;
    }
    const WholeRows<Stored> whole(stored);
    const Oblique<Stored> oblique{whole.view(), how, out, channels, tiling};
    const std::int64_t items = out.channels * tiling.tiles();
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    const KeptScratch scratch(slots, tiling.parts().whole);
    ThreadPool::run(items, slots, [&](std::int64_t item, int slot) noexcept {
        const Shape& count = tiling.count;
        const Shape place{item / (count[1] * count[2]) % count[0], item / count[2] % count[1], item % count[2]};
        Shape begin{}, end{};
        for (std::size_t i = 0; i < 3; ++i) {
            begin[i] = place[i] * tiling.size[i];
            end[i] = std::min(begin[i] + tiling.size[i], out.shape[i]);
        }
        oblique.make_tile(item / tiling.tiles(), begin, end, scratch.of(slot));
    });
    return true;
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                                    \
    template bool resample_oblique(const StoredView<Stored>&, const Resampling&, const OutputView&, int);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)

} // namespace medplug
