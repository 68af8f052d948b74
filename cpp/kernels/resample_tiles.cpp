// Resampling of stored integers under any map of the plane, tile by tile, a tile a task; of many images, an image a
// task.
#include "resample_tiles.hpp"

#include "scratch.hpp"
#include "tiles.hpp"
#include "whole_rows.hpp"

#include <optional>

namespace medplug {

namespace {

constexpr std::int64_t kTile = 64; // outputs, either way, where the scale allows it
constexpr double kMostSupport = kMostPairs - 2;
constexpr std::int64_t kMostAxis = std::int64_t{1} << 20; // positions fit an integer

// The tiles of one image: from its smoothed half where that is asked for and holds all that a tile reads, else from
// itself. A tile that reaches beyond the image is cut into smaller ones, most of which do not.
template <class Stored>
struct Levels {
    Tiles<Stored> whole;
    std::optional<Tiles<Stored>> half;
    std::int64_t size;

    static constexpr std::int64_t kLeastTile = 32;

    Levels(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out,
           const std::vector<WordChannel>& channels, const std::vector<std::int64_t>& slices)
        : whole(stored, how, out, channels, slices, Level::stored(how, stored.shape), kTile), size(whole.size) {
        if (const auto level = Level::half(how, stored.shape)) { // as many stored pixels' worth
            half.emplace(stored, how, out, channels, slices, *level, 2 * kTile);
            size = half->size;
        }
    }

    std::int64_t scratch_bytes() const noexcept {
        return std::max(whole.scratch_bytes(), half ? half->scratch_bytes() : 0);
    }

    void make(std::int64_t c, const Shape& begin, const Shape& end, std::int32_t* packed) const noexcept {
        const std::int64_t side = std::max(end[1] - begin[1], end[2] - begin[2]);
        if (half && half->holds(begin, end)) {
            half->make(c, begin, end, packed);
        } else if (side > whole.size || (half && side > kLeastTile)) {
            const std::int64_t middle[] = {begin[1] + (end[1] - begin[1] + 1) / 2,
                                           begin[2] + (end[2] - begin[2] + 1) / 2};
            for (const auto& [top, bottom] : {std::pair{begin[1], middle[0]}, std::pair{middle[0], end[1]}}) {
                for (const auto& [left, right] : {std::pair{begin[2], middle[1]}, std::pair{middle[1], end[2]}}) {
                    if (top < bottom && left < right) {
                        make(c, {begin[0], top, left}, {end[0], bottom, right}, packed);
                    }
                }
            }
        } else {
            whole.make(c, begin, end, packed);
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
void make_image(const Levels<Stored>& tiles, std::byte* scratch) noexcept {
    const Shape& shape = tiles.whole.out.shape;
    for (std::int64_t c = 0; c < tiles.whole.out.channels; ++c) {
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
    const Levels<Stored> tiles(whole.view(), how, out, channels, slices);
    const std::int64_t down = tile_count(out.shape[1], tiles.size);
    const std::int64_t across = tile_count(out.shape[2], tiles.size);
    const std::int64_t items = out.channels * out.shape[0] * down * across;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    const KeptScratch scratch(slots, tiles.scratch_bytes());
    ThreadPool::run(items, slots, [&](std::int64_t item, int slot) noexcept {
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
    std::array<Axis, 3> widest{};
    std::array<double, 3> steps{};
    Resampling mapped = how;
    for (std::int64_t i = 0; i < batch.count; ++i) {
        const Affine& map = mapped.to_stored = maps[i];
        const std::array<Axis, 3> axes = mapped.axes(first.shape);
        std::array<std::size_t, 3> axis{}; // a map along the axes has a faster path
        const bool moved = i == 0 || map.linear[0] != maps[0].linear[0] || map.shift[0] != maps[0].shift[0];
        if (!suits(mapped, first.shape) || find_stored_axes(map, out.shape, axis) ||
            (moved && !copies_slices(TapTable({axes[0], map.linear[0][0], map.shift[0], 1}), 1))) {
            return false;
        }
        widest = i == 0 ? axes : widest;
        for (std::size_t k = 1; k < 3; ++k) {
            widest[k].support = std::max(widest[k].support, axes[k].support);
            steps[k] = std::max(steps[k], std::abs(map.linear[k][1]) + std::abs(map.linear[k][2]));
        }
    }
    const std::int64_t most =
        Tiles<Stored>::most_scratch_bytes(widest, steps, kTile); // of a half: twice, by half the steps
    const std::vector<std::int64_t> slices{0};
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, batch.count));
    const KeptScratch scratch(slots, most);
    ThreadPool::run(batch.count, slots, [&](std::int64_t i, int slot) noexcept {
        Resampling own = how;
        own.to_stored = maps[i];
        StoredView<Stored> stored = first;
        stored.origin += i * batch.stride;
        OutputView target = out;
        target.origin += i * out.channels * out.shape[1] * out.shape[2];
        make_image(Levels<Stored>(stored, own, target, channels, slices), scratch.of(slot));
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
