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
auto pack_kernel(bool halved) noexcept {
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        return halved ? kernels().pack_halves_uint8 : kernels().pack_rows_uint8;
    } else if constexpr (std::is_same_v<Stored, std::int8_t>) {
        return halved ? kernels().pack_halves_int8 : kernels().pack_rows_int8;
    } else if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        return halved ? kernels().pack_halves_uint16 : kernels().pack_rows_uint16;
    } else {
        return halved ? kernels().pack_halves_int16 : kernels().pack_rows_int16;
    }
}

// The image that outputs are made from: the stored one, or in the fast quality one half as large, each of whose pixels
// is the mean of two by two. Not where half a pixel would stand for the border's constant.
struct Level {
    Affine map;
    std::array<Axis, 3> axes;
    bool halved;

    Level(const Resampling& how, const Shape& stored) noexcept
        : map(how.to_stored), axes(how.axes(stored)),
          halved(how.fast && std::min(axes[1].support, axes[2].support) >= kLeastScale &&
                 std::min(stored[1], stored[2]) >= kLeastSide &&
                 (how.border == Border::edge || (stored[1] % 2 == 0 && stored[2] % 2 == 0))) {
        for (std::size_t i = 1; halved && i < 3; ++i) {
            for (double& step : map.linear[i]) {
                step /= 2;
            }
            map.shift[i] = (map.shift[i] - 0.5) / 2;
            axes[i].size = (axes[i].size + 1) / 2;
            // A triangle's variance is a sixth of its support squared and that of two pixels a quarter, so that one
            // after the other have the exact triangle's.
            axes[i].support = std::sqrt(axes[i].support * axes[i].support / 4 - 0.375);
        }
    }

    static constexpr double kLeastScale = 2.8;      // below it a radiograph is further than 48 dB off
    static constexpr std::int64_t kLeastSide = 256; // and of small images the edges are too large a part
};

// How many bits the sum of four words has too many.
int halving_shift(std::int64_t high) noexcept {
    return high > 16383 ? 2 : high > 8191 ? 1 : 0;
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
    const std::vector<std::int64_t>& slices; // the stored one of each of the output's
    Level level;
    PlaneAxis rows, columns;
    std::int64_t size = kTile;
    int pairs, octets;
    bool linear; // both triangles are one pixel wide either way

    Tiles(const StoredView<Stored>& from, const Resampling& resampling, const OutputView& to,
          const std::vector<WordChannel>& word_channels, const std::vector<std::int64_t>& stored_slices)
        : stored(from), how(resampling), out(to), channels(word_channels), slices(stored_slices),
          level(resampling, from.shape), rows(level.axes[1], 2), columns(level.axes[2], kColumnPad),
          pairs(static_cast<int>(rows.taps / 2 + 1)), octets(static_cast<int>((columns.taps + 7) / 8)),
          linear(rows.support == 1.0 && columns.support == 1.0) {
        size *= level.halved ? 2 : 1; // as many stored pixels' worth
        while (size > 1 && packed_pairs() * pitch() > kMostPacked) {
            size /= 2;
        }
    }

    double travel(std::size_t axis) const noexcept {
        const auto& along = level.map.linear[axis];
        return (std::abs(along[1]) + std::abs(along[2])) * static_cast<double>(size - 1);
    }
    std::int64_t pitch() const noexcept { return columns.reach(travel(2)) + 8 * octets; }
    std::int64_t packed_pairs() const noexcept { return rows.reach(travel(1)) / (linear ? 1 : 2) + 1 + pairs; }

    std::int64_t scratch_bytes() const noexcept {
        return pitch() * packed_pairs() * static_cast<std::int64_t>(sizeof(std::int32_t));
    }

    double position(std::size_t axis, std::int64_t slice, std::int64_t row, std::int64_t column) const noexcept {
        const auto& along = level.map.linear[axis];
        return along[0] * static_cast<double>(slice) + along[1] * static_cast<double>(row) + level.map.shift[axis] +
               along[2] * static_cast<double>(column);
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
        if (linear && how.border == Border::edge) { // nothing outside is ever looked at
            const std::int64_t stop = std::min(result.first + result.count, along.last + 1);
            result.first = std::max<std::int64_t>(result.first, 0);
            result.count = stop - result.first;
        }
        // Whole registers read faster than the end of a row, if the image goes on.
        const std::int64_t rounded = (result.count + along.multiple - 1) / along.multiple * along.multiple;
        if (result.first >= 0 && result.first + result.count <= along.last + 1 && rounded <= along.last + 1) {
            result = {std::min(result.first, along.last + 1 - rounded), rounded};
        }
        return result;
    }

    // What lies outside the image is left as it was: it weighs nothing.
    void pack(const WordChannel& channel, std::int64_t slice, const Reach& beneath_rows, const Reach& beneath_columns,
              std::int64_t advance, std::int32_t* packed) const noexcept {
        const auto inside = [](const Reach& beneath, const PlaneAxis& along) {
            const std::int64_t from = std::clamp<std::int64_t>(beneath.first, 0, along.last + 1);
            return Reach{from, std::clamp(beneath.first + beneath.count, from, along.last + 1) - from};
        };
        const Reach those_rows = inside(beneath_rows, rows), those_columns = inside(beneath_columns, columns);
        if (those_rows.count == 0 || those_columns.count == 0) {
            return;
        }
        const std::int64_t each = level.halved ? 2 : 1; // stored pixels, either way, in one of the level's
        RowPack job{};
        job.stride = stored.strides[1];
        job.advance = advance;
        job.columns = std::min(each * those_columns.count, stored.shape[2] - each * those_columns.first);
        job.tone = &channel.tone;
        job.pitch = pitch();
        job.shift = halving_shift(channel.tone.high);
        const std::int64_t stop = those_rows.first + those_rows.count;
        const auto pack_from = [&](std::int64_t upper, std::int64_t pairs_here) { // `upper` may be one above the image
            job.rows = stored.row(channel.stored, slice, each * upper) +
                       each * those_columns.first * static_cast<std::int64_t>(sizeof(Stored));
            job.pairs = pairs_here;
            const std::int64_t last = job.missing_lower ? upper : upper + 2 * pairs_here - 1;
            job.lone = last == rows.last && stored.shape[1] % 2 != 0;
            job.packed = packed + (upper - beneath_rows.first) / advance * job.pitch + those_columns.first -
                         beneath_columns.first;
            pack_kernel<Stored>(level.halved)(job);
        };
        std::int64_t row = those_rows.first;
        if (advance == 2 && (row - beneath_rows.first) % 2 != 0) {
            job.missing_upper = true;
            pack_from(row - 1, 1);
            job.missing_upper = false;
            ++row;
        }
        const std::int64_t whole = (stop - row) / advance - (advance == 1 ? 1 : 0);
        if (whole > 0) {
            pack_from(row, whole);
            row += whole * advance;
        }
        if (row < stop) {
            job.missing_lower = true;
            pack_from(row, 1);
        }
    }

    TileAxis axis(const PlaneAxis& along, std::size_t index, const Shape& begin, const Reach& beneath,
                  const float* slopes) const noexcept {
        TileAxis result{};
        const auto first = static_cast<double>(beneath.first);
        result.position = position(index, begin[0], begin[1], begin[2]) - first;
        result.down = level.map.linear[index][1];
        result.step = static_cast<float>(level.map.linear[index][2]);
        result.support = static_cast<float>(along.support);
        result.slopes = slopes;
        result.low = static_cast<float>(along.low - first);
        result.high = static_cast<float>(along.high - first);
        result.first = static_cast<std::int32_t>(beneath.first);
        result.last = static_cast<std::int32_t>(along.last);
        return result;
    }

    void make(std::int64_t c, const Shape& begin, const Shape& end, std::int32_t* packed) const noexcept {
        const WordChannel& channel = channels[static_cast<std::size_t>(c)];
        const Reach beneath_rows = reach(1, rows, begin, end), beneath_columns = reach(2, columns, begin, end);
        const auto beyond = [](const Reach& beneath, const PlaneAxis& along) {
            return beneath.first < 0 || beneath.first + beneath.count > along.last + 1;
        };
        TileJob job{};
        job.packed = packed;
        job.pitch = pitch();
        job.width = end[2] - begin[2];
        job.height = end[1] - begin[1];
        job.out = out.row(c, begin[0], begin[1]) + begin[2];
        job.out_stride = out.shape[2];
        const int shift = halving_shift(channel.tone.high);
        const std::int64_t high = level.halved ? (4 * std::int64_t{channel.tone.high} + (1 << shift >> 1)) >> shift
                                               : std::int64_t{channel.tone.high};
        const double scale = std::min(32767.0, 2147483647.0 / (static_cast<double>(high) * (rows.support + 1.0)));
        job.weight_scale = static_cast<float>(scale);
        std::array<float, 2 * kMostPairs> row_slopes, column_slopes;
        const auto used = static_cast<std::size_t>(std::max<std::int64_t>(2 * pairs, columns.taps));
        for (std::size_t k = 0; k < used; ++k) {
            row_slopes[k] = static_cast<float>(scale * static_cast<double>(k) / rows.support);
            column_slopes[k] = static_cast<float>(static_cast<double>(k) / columns.support);
        }
        job.rows = axis(rows, 1, begin, beneath_rows, row_slopes.data());
        job.columns = axis(columns, 2, begin, beneath_columns, column_slopes.data());
        job.pairs = pairs;
        job.taps = static_cast<int>(columns.taps);
        job.edges =
            beyond(beneath_rows, rows) || beyond(beneath_columns, columns) || (linear && how.border == Border::edge);
        job.fills = how.border == Border::constant;
        job.gain = static_cast<float>(level.halved ? std::ldexp(channel.gain, shift - 2) : channel.gain);
        job.bias = static_cast<float>(channel.bias);
        job.background = static_cast<float>(channel.background);

        const bool is_linear = linear && !(job.edges && job.fills);
        pack(channel, slices[static_cast<std::size_t>(begin[0])], beneath_rows, beneath_columns, is_linear ? 1 : 2,
             packed);
        is_linear ? kernels().make_linear_tile(job) : kernels().make_tile(job);
        for (std::int64_t row = 0; !channel.after_is_line && row < job.height; ++row) {
            apply_after(channel, how.after[c], job.out + row * job.out_stride, job.width);
        }
    }
};

// Whether a float holds positions within a tile, which it does to 2^-12 of a pixel: a tile spans 2^12 of them.
bool takes_small_steps(const Affine& map) noexcept {
    constexpr double most = static_cast<double>(1 << 12) / kTile;
    return std::max(std::abs(map.linear[1][1]) + std::abs(map.linear[1][2]),
                    std::abs(map.linear[2][1]) + std::abs(map.linear[2][2])) <= most;
}

bool stays_in_plane(const Affine& map) noexcept {
    return map.linear[0][1] == 0.0 && map.linear[0][2] == 0.0 && map.linear[1][0] == 0.0 && map.linear[2][0] == 0.0;
}

std::int64_t tile_count(std::int64_t outputs, std::int64_t size) noexcept {
    return (outputs + size - 1) / size;
}

template <class Stored>
void make_image(const Tiles<Stored>& tiles, std::byte* scratch) noexcept {
    const Shape& shape = tiles.out.shape;
    for (std::int64_t c = 0; c < tiles.out.channels; ++c) {
        for (std::int64_t row = 0; row < shape[1]; row += tiles.size) {
            for (std::int64_t column = 0; column < shape[2]; column += tiles.size) {
                tiles.make(c, {0, row, column},
                           {1, std::min(row + tiles.size, shape[1]), std::min(column + tiles.size, shape[2])},
                           reinterpret_cast<std::int32_t*>(scratch));
            }
        }
    }
}

bool suits(const Resampling& how, const Shape& stored) noexcept {
    const std::array<Axis, 3> axes = how.axes(stored);
    return how.filter != Filter::nearest && stays_in_plane(how.to_stored) && takes_small_steps(how.to_stored) &&
           axes[1].support <= kMostSupport && axes[2].support <= kMostSupport && stored[1] <= kMostAxis &&
           stored[2] <= kMostAxis;
}

} // namespace

template <class Stored>
bool resample_tiles(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads) {
    if (!suits(how, stored.shape)) {
        return false;
    }
    const std::array<Axis, 3> axes = how.axes(stored.shape);
    const TapTable slice_taps({axes[0], how.to_stored.linear[0][0], how.to_stored.shift[0], out.shape[0]});
    const std::vector<WordChannel> channels = word_channels(stored, how, out.channels);
    if (channels.empty() || !copies_slices(slice_taps, out.shape[0]) || !worth_copying(stored)) {
        return false;
    }
    std::vector<std::int64_t> slices;
    for (const Window& window : slice_taps.windows) {
        slices.push_back(window.first);
    }
    const WholeRows<Stored> whole(stored);
    const Tiles<Stored> tiles(whole.view(), how, out, channels, slices);
    const std::int64_t down = tile_count(out.shape[1], tiles.size);
    const std::int64_t across = tile_count(out.shape[2], tiles.size);
    const std::int64_t items = out.channels * out.shape[0] * down * across;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    const KeptScratch scratch(slots, tiles.scratch_bytes());
    ThreadPool::instance().run(items, slots, [&](std::int64_t item, int slot) noexcept {
        const std::int64_t plane = item / (down * across);
        const Shape begin{plane % out.shape[0], item / across % down * tiles.size, item % across * tiles.size};
        const Shape end{begin[0] + 1, std::min(begin[1] + tiles.size, out.shape[1]),
                        std::min(begin[2] + tiles.size, out.shape[2])};
        tiles.make(plane / out.shape[0], begin, end, reinterpret_cast<std::int32_t*>(scratch.of(slot)));
    });
    return true;
}

template <class Stored>
bool resample_tiles_batch(const BatchView<Stored>& batch, const Resampling& how, const Affine* maps,
                          const OutputView& out, int threads) {
    const StoredView<Stored>& first = batch.first;
    if (batch.count < 2 || first.shape[0] != 1 || out.shape[0] != 1 ||
        first.strides[2] != static_cast<std::int64_t>(sizeof(Stored))) {
        return false;
    }
    const std::vector<WordChannel> channels = word_channels(first, how, out.channels);
    if (channels.empty()) {
        return false;
    }
    const std::vector<std::int64_t> slices{0};
    std::int64_t most = 0;
    const auto tiles_of = [&](const StoredView<Stored>& stored, const Resampling& mapped, const OutputView& target) {
        return Tiles<Stored>(stored, mapped, target, channels, slices);
    };
    const auto copies_slice = [&](const Affine& map) {
        Resampling mapped = how;
        mapped.to_stored = map;
        return copies_slices(TapTable({mapped.axes(first.shape)[0], map.linear[0][0], map.shift[0], 1}), 1);
    };
    for (std::int64_t i = 0; i < batch.count; ++i) {
        Resampling mapped = how;
        mapped.to_stored = maps[i];
        std::array<std::size_t, 3> axis{}; // a map along the axes has a faster path
        const bool moved = i == 0 || maps[i].linear[0] != maps[0].linear[0] || maps[i].shift[0] != maps[0].shift[0];
        if (!suits(mapped, first.shape) || find_stored_axes(maps[i], out.shape, axis) ||
            (moved && !copies_slice(maps[i]))) {
            return false;
        }
        most = std::max(most, tiles_of(first, mapped, out).scratch_bytes());
    }
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, batch.count));
    const KeptScratch scratch(slots, most);
    ThreadPool::instance().run(batch.count, slots, [&](std::int64_t i, int slot) noexcept {
        Resampling mapped = how;
        mapped.to_stored = maps[i];
        StoredView<Stored> stored = first;
        stored.origin += i * batch.stride;
        OutputView target = out;
        target.origin += i * out.channels * out.shape[1] * out.shape[2];
        make_image(tiles_of(stored, mapped, target), scratch.of(slot));
    });
    return true;
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                                    \
    template bool resample_tiles(const StoredView<Stored>&, const Resampling&, const OutputView&, int);                \
    template bool resample_tiles_batch(const BatchView<Stored>&, const Resampling&, const Affine*, const OutputView&,  \
                                       int);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)

} // namespace medplug
