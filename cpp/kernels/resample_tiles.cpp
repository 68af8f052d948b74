// Resampling of stored integers under any map of the plane, tile by tile: the stored pixels beneath a tile pass the
// tone once and are packed, two rows in one, into memory that the second-level cache holds.
#include "resample_tiles.hpp"

#include "scratch.hpp"
#include "whole_rows.hpp"
#include "word_channels.hpp"

#include <cmath>
#include <cstring>

namespace medplug {

namespace {

constexpr std::int64_t kTile = 64;                          // outputs, either way, where the scale allows it
constexpr std::int64_t kMostPacked = std::int64_t{1} << 17; // integers: half a MiB
constexpr double kMostSupport = kMostPairs - 2;
constexpr std::int64_t kMostAxis = std::int64_t{1} << 20; // positions fit an integer

template <class Stored>
auto pack_kernel() noexcept {
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        return kernels().pack_rows_uint8;
    } else if constexpr (std::is_same_v<Stored, std::int8_t>) {
        return kernels().pack_rows_int8;
    } else if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        return kernels().pack_rows_uint16;
    } else {
        return kernels().pack_rows_int16;
    }
}

// One stored axis: how wide its windows are and how far positions may go before nothing changes any more.
struct PlaneAxis {
    double support;
    double low, high;
    std::int64_t last;
    std::int64_t taps;     // that a window may have
    std::int64_t multiple; // of how many pixels a tile reads, where it can

    PlaneAxis(const Axis& axis, std::int64_t reads) noexcept
        : support(axis.support), low(axis.border == Border::edge ? 0.0 : -axis.support - 1.0),
          high(static_cast<double>(axis.size - 1) + (axis.border == Border::edge ? 0.0 : axis.support + 1.0)),
          last(axis.size - 1), taps(static_cast<std::int64_t>(std::ceil(2.0 * axis.support))), multiple(reads) {}

    // How many pixels lie beneath positions that `travel` apart, with one to spare at either end.
    std::int64_t reach(double travel) const noexcept {
        return static_cast<std::int64_t>(std::ceil(std::min(travel, high - low) + 2.0 * support)) + 5 + multiple;
    }
};

// The stored pixels beneath a tile, which may lie outside the image.
struct Reach {
    std::int64_t first, count;
};

template <class Stored>
struct Tiles {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const OutputView& out;
    const std::vector<WordChannel>& channels;
    const TapTable& slices;
    PlaneAxis rows, columns;
    std::int64_t size = kTile;
    int pairs, octets;

    Tiles(const StoredView<Stored>& from, const Resampling& resampling, const OutputView& to,
          const std::vector<WordChannel>& word_channels, const TapTable& slice_taps, const std::array<Axis, 3>& axes)
        : stored(from), how(resampling), out(to), channels(word_channels), slices(slice_taps), rows(axes[1], 2),
          columns(axes[2], kColumnPad), pairs(static_cast<int>(rows.taps / 2 + 1)),
          octets(static_cast<int>((columns.taps + 7) / 8)) {
        while (size > 1 && packed_pairs() * pitch() > kMostPacked) {
            size /= 2;
        }
    }

    double travel(std::size_t axis) const noexcept {
        const auto& linear = how.to_stored.linear[axis];
        return (std::abs(linear[1]) + std::abs(linear[2])) * static_cast<double>(size - 1);
    }
    std::int64_t pitch() const noexcept { return columns.reach(travel(2)) + 8 * octets; }
    std::int64_t packed_pairs() const noexcept { return rows.reach(travel(1)) / 2 + 1 + pairs; }

    double position(std::size_t axis, std::int64_t slice, std::int64_t row, std::int64_t column) const noexcept {
        const auto& linear = how.to_stored.linear[axis];
        return linear[0] * static_cast<double>(slice) + linear[1] * static_cast<double>(row) +
               how.to_stored.shift[axis] + linear[2] * static_cast<double>(column);
    }

    // An affine map is extreme at the corners.
    Reach reach(std::size_t axis, const PlaneAxis& along, const Shape& begin, const Shape& end) const noexcept {
        double low = INFINITY, high = -INFINITY;
        for (const std::int64_t row : {begin[1], end[1] - 1}) {
            for (const std::int64_t column : {begin[2], end[2] - 1}) {
                const double there = std::clamp(position(axis, begin[0], row, column), along.low, along.high);
                low = std::min(low, there);
                high = std::max(high, there);
            }
        }
        Reach result{static_cast<std::int64_t>(std::floor(low - along.support)) - 1, 0};
        result.count = static_cast<std::int64_t>(std::ceil(high + along.support)) + 2 - result.first;
        // Whole registers read faster than the end of a row, if the image goes on.
        const std::int64_t rounded = (result.count + along.multiple - 1) / along.multiple * along.multiple;
        if (result.first >= 0 && result.first + result.count <= along.last + 1 && rounded <= along.last + 1) {
            result = {std::min(result.first, along.last + 1 - rounded), rounded};
        } else {
            result.count += result.count % 2;
        }
        return result;
    }

    void pack(const WordChannel& channel, std::int64_t slice, const Reach& row_reach, const Reach& column_reach,
              std::int32_t* packed) const noexcept {
        const std::int64_t width = pitch(), pairs_used = row_reach.count / 2;
        const std::int64_t from = std::clamp<std::int64_t>(column_reach.first, 0, columns.last + 1);
        const std::int64_t upto =
            std::clamp<std::int64_t>(column_reach.first + column_reach.count, from, columns.last + 1);
        const std::int64_t margin = from - column_reach.first;
        RowPack job{};
        job.stride = stored.strides[1];
        job.columns = upto - from;
        job.tone = &channel.tone;
        job.pitch = width;
        const auto pack_from = [&](std::int64_t k, std::int64_t pairs_here) {
            job.rows = stored.row(channel.stored, slice, row_reach.first + 2 * k) +
                       from * static_cast<std::int64_t>(sizeof(Stored));
            job.pairs = pairs_here;
            job.packed = packed + k * width + margin;
            pack_kernel<Stored>()(job);
        };
        const bool whole = row_reach.first >= 0 && row_reach.first + row_reach.count <= rows.last + 1;
        if (whole && job.columns == column_reach.count) {
            pack_from(0, pairs_used);
            return;
        }
        std::fill(packed, packed + (pairs_used + pairs) * width, 0);
        for (std::int64_t k = 0; job.columns > 0 && k < pairs_used; ++k) {
            const auto outside = [&](std::int64_t row) { return row < 0 || row > rows.last; };
            job.missing_upper = outside(row_reach.first + 2 * k);
            job.missing_lower = outside(row_reach.first + 2 * k + 1);
            if (!job.missing_upper || !job.missing_lower) {
                pack_from(k, 1);
            }
        }
    }

    void make(std::int64_t c, const Shape& begin, const Shape& end, std::int32_t* packed) const noexcept {
        const WordChannel& channel = channels[static_cast<std::size_t>(c)];
        const Reach row_reach = reach(1, rows, begin, end), column_reach = reach(2, columns, begin, end);
        pack(channel, slices[begin[0]].first, row_reach, column_reach, packed);
        TileRow job{};
        job.packed = packed;
        job.pitch = pitch();
        job.first_row = static_cast<std::int32_t>(row_reach.first);
        job.first_column = static_cast<std::int32_t>(column_reach.first);
        job.row_step = how.to_stored.linear[1][2];
        job.column_step = how.to_stored.linear[2][2];
        job.width = end[2] - begin[2];
        job.row_support = rows.support;
        job.column_support = columns.support;
        const double scale =
            std::min(32767.0, 2147483647.0 / (static_cast<double>(channel.tone.high) * (rows.support + 1.0)));
        std::array<float, 2 * kMostPairs> row_slopes, column_slopes;
        for (std::size_t k = 0; k < row_slopes.size(); ++k) {
            row_slopes[k] = static_cast<float>(scale * static_cast<double>(k) / rows.support);
            column_slopes[k] = static_cast<float>(static_cast<double>(k) / columns.support);
        }
        job.weight_scale = static_cast<float>(scale);
        job.row_slopes = row_slopes.data();
        job.column_slopes = column_slopes.data();
        job.pairs = pairs;
        job.taps = static_cast<int>(columns.taps);
        job.edges = row_reach.first < 0 || row_reach.first + row_reach.count > rows.last + 1 ||
                    column_reach.first < 0 || column_reach.first + column_reach.count > columns.last + 1;
        job.fills = how.border == Border::constant;
        job.last_row = static_cast<std::int32_t>(rows.last);
        job.last_column = static_cast<std::int32_t>(columns.last);
        job.low_row = rows.low;
        job.high_row = rows.high;
        job.low_column = columns.low;
        job.high_column = columns.high;
        job.gain = static_cast<float>(channel.gain);
        job.bias = static_cast<float>(channel.bias);
        job.background = static_cast<float>(channel.background);
        for (std::int64_t row = begin[1]; row < end[1]; ++row) {
            job.row = position(1, begin[0], row, begin[2]);
            job.column = position(2, begin[0], row, begin[2]);
            job.out = out.row(c, begin[0], row) + begin[2];
            kernels().make_tile_row(job);
            apply_after(channel, how.after[c], job.out, job.width);
        }
    }
};

bool stays_in_plane(const Affine& map) noexcept {
    return map.linear[0][1] == 0.0 && map.linear[0][2] == 0.0 && map.linear[1][0] == 0.0 && map.linear[2][0] == 0.0;
}

} // namespace

template <class Stored>
bool resample_tiles(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads) {
    const std::array<Axis, 3> axes = how.axes(stored.shape);
    if (how.filter == Filter::nearest || !stays_in_plane(how.to_stored) || axes[1].support > kMostSupport ||
        axes[2].support > kMostSupport || stored.shape[1] > kMostAxis || stored.shape[2] > kMostAxis) {
        return false;
    }
    const TapTable slices(axes[0], how.to_stored.linear[0][0], how.to_stored.shift[0], out.shape[0]);
    const std::vector<WordChannel> channels = word_channels(stored, how, out.channels);
    if (channels.empty() || !copies_slices(slices, out.shape[0])) {
        return false;
    }
    const WholeRows<Stored> whole(stored);
    const Tiles<Stored> tiles(whole.view(), how, out, channels, slices, axes);
    const std::int64_t down = (out.shape[1] + tiles.size - 1) / tiles.size;
    const std::int64_t across = (out.shape[2] + tiles.size - 1) / tiles.size;
    const std::int64_t items = out.channels * out.shape[0] * down * across;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    const KeptScratch scratch(slots,
                              tiles.pitch() * tiles.packed_pairs() * static_cast<std::int64_t>(sizeof(std::int32_t)));
    ThreadPool::instance().run(items, slots, [&](std::int64_t item, int slot) noexcept {
        const std::int64_t plane = item / (down * across);
        const Shape begin{plane % out.shape[0], item / across % down * tiles.size, item % across * tiles.size};
        const Shape end{begin[0] + 1, std::min(begin[1] + tiles.size, out.shape[1]),
                        std::min(begin[2] + tiles.size, out.shape[2])};
        tiles.make(plane / out.shape[0], begin, end, reinterpret_cast<std::int32_t*>(scratch.of(slot)));
    });
    return true;
}

template bool resample_tiles(const StoredView<std::uint8_t>&, const Resampling&, const OutputView&, int);
template bool resample_tiles(const StoredView<std::int8_t>&, const Resampling&, const OutputView&, int);
template bool resample_tiles(const StoredView<std::uint16_t>&, const Resampling&, const OutputView&, int);
template bool resample_tiles(const StoredView<std::int16_t>&, const Resampling&, const OutputView&, int);

} // namespace medplug
