// Trilinear resampling along the axes: each stored slice becomes a slab, interpolated within the slice, once; each
// output slice lies between two slabs. A block of rows is small enough that both slabs stay in a core's own cache.
#include "resample_volume.hpp"

#include "column_pairs.hpp"
#include "lerp_channel.hpp"
#include "scratch.hpp"
#include "whole_rows.hpp"

#include <cmath>

namespace medplug {

namespace {

constexpr std::int64_t kSlabFloats = std::int64_t{1} << 16; // of a slab, but for wider rows
constexpr std::int64_t kWidest = std::int64_t{1} << 17;     // of an output row: bounds a thread's slabs to 1 MiB
constexpr std::int64_t kStreamed = std::int64_t{4} << 20;   // floats; smaller outputs are read from the cache next

template <class Stored>
auto lerp_rows() noexcept {
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        return kernels().lerp_rows_uint8;
    } else if constexpr (std::is_same_v<Stored, std::int8_t>) {
        return kernels().lerp_rows_int8;
    } else if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        return kernels().lerp_rows_uint16;
    } else {
        return kernels().lerp_rows_int16;
    }
}

struct Slab {
    float* values; // [rows of the block, columns], padded
    std::int64_t slice;
};

// Of the output slices that lie between the same two stored ones, which this is; and the stored slice that comes next.
struct Turn {
    std::int64_t index;
    std::int64_t count;
    std::int64_t next;
};

std::vector<Turn> turns_of(const TapTable& slices, std::int64_t outputs) {
    std::vector<Turn> turns;
    for (std::int64_t begin = 0, end = 0; begin < outputs; begin = end) {
        const std::int64_t first = slices[begin].first;
        while (end < outputs && slices[end].first == first) {
            ++end;
        }
        const std::int64_t then = end < outputs ? slices[end].first : first;
        const std::int64_t next = then == first ? -1 : then < first ? then : then + slices[end].count - 1;
        for (std::int64_t s = begin; s < end; ++s) {
            turns.push_back({s - begin, end - begin, next});
        }
    }
    return turns;
}

template <class Stored>
struct Volume {
    const StoredView<Stored>& stored;
    const TapTables& tables;
    const OutputView& out;
    const std::vector<LerpChannel>& channels;
    const ColumnPairs& pairs;
    const std::vector<Turn>& turns;
    bool stream;

    // Output slices first_slice .. stop_slice - 1 of the rows begin .. end - 1.
    void make_block(std::int64_t c, std::int64_t begin, std::int64_t end, std::int64_t first_slice,
                    std::int64_t stop_slice, float* scratch, std::int64_t slab_size) const noexcept {
        const LerpChannel& channel = channels[static_cast<std::size_t>(c)];
        Slab slabs[2] = {{scratch, -1}, {scratch + slab_size, -1}};
        const std::int64_t count = (end - begin) * out.shape[2];
        for (std::int64_t s = first_slice; s < stop_slice; ++s) {
            const Window& window = tables[0][s];
            float* target = out.row(c, s, begin);
            if (window.count == 0) {
                const double value = channel.fill * channel.gain + channel.bias;
                std::fill(target, target + count, std::clamp(static_cast<float>(value), channel.low, channel.high));
            } else {
                const bool two = window.count == 2;
                const float* first = slab_of(slabs, channel, window.first, two ? window.first + 1 : -1, begin, end);
                const float* second = two ? slab_of(slabs, channel, window.first + 1, window.first, begin, end) : first;
                const double* weights = tables[0].weights_of(s);
                const double outside = 1.0 - window.inside;
                SliceLerp job{};
                job.first = first;
                job.second = second;
                job.first_weight = static_cast<float>(weights[0] * channel.gain);
                job.second_weight = two ? static_cast<float>(weights[1] * channel.gain) : 0.0F;
                job.bias = static_cast<float>(outside * channel.fill * channel.gain + channel.bias);
                job.low = channel.low;
                job.high = channel.high;
                job.out = target;
                job.count = count;
                job.stream = stream;
                look_ahead(channel, s, begin, end, job);
                kernels().lerp_slices(job);
            }
            for (std::int64_t i = 0; channel.finish != nullptr && i < count; ++i) {
                target[i] = static_cast<float>((*channel.finish)(static_cast<double>(target[i])));
            }
        }
    }

    // What the next slab will be made from, shared out among the output slices that come before it.
    void look_ahead(const LerpChannel& channel, std::int64_t s, std::int64_t begin, std::int64_t end,
                    SliceLerp& job) const noexcept {
        const Turn& turn = turns[static_cast<std::size_t>(s)];
        const Window rows = tables[1].reach(begin, end);
        const std::int64_t stride = stored.strides[1];
        const std::int64_t width = stored.shape[2] * static_cast<std::int64_t>(sizeof(Stored));
        job.ahead = reinterpret_cast<const std::byte*>(job.out);
        job.ahead_bytes = 0;
        if (turn.next < 0 || rows.count == 0 || std::abs(stride) > 2 * width) {
            return;
        }
        const std::int64_t bytes = (rows.count - 1) * std::abs(stride) + width;
        const std::byte* lowest =
            stored.row(channel.stored, turn.next, stride < 0 ? rows.first + rows.count - 1 : rows.first);
        job.ahead_bytes = bytes / (2 * turn.count);
        job.ahead_apart = bytes / 2;
        job.ahead = lowest + turn.index * job.ahead_bytes;
    }

    // The slab of a stored slice, made unless it is there, in the place of one that is not `kept`.
    const float* slab_of(Slab (&slabs)[2], const LerpChannel& channel, std::int64_t slice, std::int64_t kept,
                         std::int64_t begin, std::int64_t end) const noexcept {
        for (const Slab& slab : slabs) {
            if (slab.slice == slice) {
                return slab.values;
            }
        }
        Slab& slab = slabs[slabs[0].slice == kept && kept >= 0 ? 1 : 0];
        slab.slice = slice;
        for (std::int64_t r = begin; r < end; ++r) {
            make_row(channel, slice, r, slab.values + (r - begin) * out.shape[2]);
        }
        return slab.values;
    }

    void make_row(const LerpChannel& channel, std::int64_t slice, std::int64_t row, float* to) const noexcept {
        const Window& window = tables[1][row];
        if (window.count == 0) {
            std::fill(to, to + out.shape[2], static_cast<float>(channel.fill));
            return;
        }
        const bool two = window.count == 2;
        RowLerp job{};
        job.first = stored.row(channel.stored, slice, window.first);
        job.second = two ? job.first + stored.strides[1] : job.first;
        job.tone = &channel.tone;
        job.clamps = channel.clamps;
        job.at = pairs.at.data();
        job.weights = pairs.weights.data();
        job.starts = pairs.starts.empty() ? nullptr : pairs.starts.data();
        job.places = pairs.places.data();
        job.width = out.shape[2];
        const double share = two ? tables[1].weights_of(row)[1] / window.inside : 0.0;
        job.share = static_cast<std::int16_t>(std::min(std::nearbyint(std::ldexp(share, kWeightBits)), 32767.0));
        job.center = channel.center_sum();
        job.out = to;
        lerp_rows<Stored>()(job);
        mix_fill(channel.fill, window.inside, to);
    }

    // Gives the border's constant its share within the slice.
    void mix_fill(double fill, double inside_row, float* row) const noexcept {
        const auto mix = [&](std::int64_t x, double inside) {
            row[x] = static_cast<float>(inside * static_cast<double>(row[x]) + (1.0 - inside) * fill);
        };
        for (std::int64_t x = 0; inside_row < 1.0 && x < out.shape[2]; ++x) {
            mix(x, inside_row * tables[2][x].inside);
        }
        if (inside_row == 1.0) {
            for (const ColumnPairs::Partial& partial : pairs.partial) {
                mix(partial.column, partial.inside);
            }
        }
    }
};

bool has_at_most_two_taps(const TapTable& taps) noexcept {
    return std::all_of(taps.windows.begin(), taps.windows.end(),
                       [](const Window& window) { return window.count <= 2; });
}

} // namespace

template <class Stored>
bool resample_volume(const StoredView<Stored>& stored, const Resampling& how, const TapTables& tables,
                     const OutputView& out, int threads) {
    const Shape& shape = out.shape;
    if (how.filter == Filter::nearest || stored.shape[2] < 2 ||
        stored.shape[2] > std::numeric_limits<std::int32_t>::max() || shape[2] > kWidest ||
        !(has_at_most_two_taps(tables[0]) && has_at_most_two_taps(tables[1]) && has_at_most_two_taps(tables[2]))) {
        return false;
    }
    const auto channels = lerp_channels<Stored>(how, out.channels, stored.channels);
    if (channels.empty()) {
        return false;
    }
    const ColumnPairs pairs(tables[2], shape[2], stored.shape[2]);
    const std::vector<Turn> turns = turns_of(tables[0], shape[0]);
    const bool stream = shape[0] * shape[1] * shape[2] >= kStreamed;
    if (!worth_copying(stored)) {
        return false;
    }
    const WholeRows<Stored> whole(stored);
    const Volume<Stored> volume{whole.view(), tables, out, channels, pairs, turns, stream};

    // Where there are few blocks of rows, each is divided along the slices; that changes no bit.
    const std::int64_t rows = std::clamp<std::int64_t>(kSlabFloats / shape[2], 1, shape[1]);
    const std::int64_t blocks = (shape[1] + rows - 1) / rows;
    const std::int64_t wanted = threads == 1 ? 1 : (8 * threads + blocks - 1) / blocks;
    const std::int64_t divisions = std::clamp<std::int64_t>(wanted, 1, (shape[0] + 7) / 8);
    const std::int64_t items = out.channels * blocks * divisions;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    const std::int64_t slab_size = (rows * shape[2] + 2 * kPairPad - 1) / kPairPad * kPairPad;
    const KeptScratch scratch(slots, 2 * slab_size * static_cast<std::int64_t>(sizeof(float)));
    ThreadPool::run(items, slots, [&](std::int64_t item, int slot) noexcept {
        const std::int64_t division = item % divisions;
        const std::int64_t begin = item / divisions % blocks * rows;
        volume.make_block(item / divisions / blocks, begin, std::min(begin + rows, shape[1]),
                          shape[0] * division / divisions, shape[0] * (division + 1) / divisions,
                          reinterpret_cast<float*>(scratch.of(slot)), slab_size);
    });
    return true;
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                                    \
    template bool resample_volume(const StoredView<Stored>&, const Resampling&, const TapTables&, const OutputView&,   \
                                  int);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)

} // namespace medplug
