#include "resample.hpp"
#include "toned_row.hpp"

#include <algorithm>
#include <cmath>

namespace medplug {

namespace {

// Output is made in tiles: the stored pixels that a tile reads pass `before` once, into a box of the thread's own,
// instead of once for each tap (16 times as often where an image is halved). The tile shrinks until its box fits the
// second-level cache; at one pixel the box is that pixel's own window. All of it follows from the shapes alone.
constexpr double box_budget = 1 << 17; // doubles

struct Tiles {
    Shape size;
    Shape count;
    std::int64_t box; // doubles that the largest box holds

    Tiles(const Affine& map, const std::array<Axis, 3>& axes, const Shape& out) noexcept
        : size{std::min<std::int64_t>(out[0], 8), std::min<std::int64_t>(out[1], 32),
               std::min<std::int64_t>(out[2], 32)} {
        while (volume(map, axes, out) > box_budget && std::max({size[0], size[1], size[2]}) > 1) {
            std::int64_t& longest = *std::max_element(size.begin(), size.end());
            longest = (longest + 1) / 2;
        }
        for (std::size_t i = 0; i < 3; ++i) {
            count[i] = (out[i] + size[i] - 1) / size[i];
        }
        box = static_cast<std::int64_t>(volume(map, axes, out));
    }

    // At least as many doubles as any tile's box holds; rounding included, which far from the origin is coarse.
    double volume(const Affine& map, const std::array<Axis, 3>& axes, const Shape& out) const noexcept {
        double product = 1.0;
        for (std::size_t i = 0; i < 3; ++i) {
            double reach = 2.0 * axes[i].support + 6.0; // both ends, their rounding to pixels, and one to spare
            double far = std::abs(map.shift[i]);
            for (std::size_t j = 0; j < 3; ++j) {
                reach += std::abs(map.linear[i][j]) * static_cast<double>(size[j] - 1);
                far += std::abs(map.linear[i][j]) * static_cast<double>(out[j]);
            }
            reach += std::ldexp(far, -49); // a position is six roundings away from exact, at both ends
            product *= std::min(reach, static_cast<double>(axes[i].size));
        }
        return product;
    }
};

// The weight of a stored pixel is the product of its weights along the stored axes, so each output pixel needs one
// short list of weights per axis.
template <class Stored>
struct Tile {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const OutputView& out;
    const std::array<Axis, 3>& axes;
    Shape begin, end;
    std::array<double*, 3> weights;
    double* box;
    Shape first{}, extent{}; // of the box, in stored pixels

    double position(std::size_t axis, std::int64_t slice, std::int64_t row, std::int64_t column) const noexcept {
        const auto& linear = how.to_stored.linear[axis];
        return linear[0] * static_cast<double>(slice) + linear[1] * static_cast<double>(row) +
               how.to_stored.shift[axis] + linear[2] * static_cast<double>(column);
    }

    // The stored pixels that the tile may read: an affine map is extreme at the corners.
    void find_box() noexcept {
        for (std::size_t i = 0; i < 3; ++i) {
            double low = INFINITY, high = -INFINITY;
            for (int corner = 0; corner < 8; ++corner) {
                const double there = position(i, corner & 1 ? begin[0] : end[0] - 1, corner & 2 ? begin[1] : end[1] - 1,
                                              corner & 4 ? begin[2] : end[2] - 1);
                low = std::min(low, there);
                high = std::max(high, there);
            }
            const double last = static_cast<double>(axes[i].size - 1);
            if (how.border == Border::edge) { // where a position outside counts as the edge's own
                low = std::clamp(low, 0.0, last);
                high = std::clamp(high, 0.0, last);
            }
            const double margin = axes[i].support + 1.0;
            first[i] = static_cast<std::int64_t>(std::clamp(std::floor(low - margin), 0.0, last));
            extent[i] = static_cast<std::int64_t>(std::clamp(std::ceil(high + margin), 0.0, last)) - first[i] + 1;
        }
    }

    void fill_box(std::int64_t channel) const noexcept {
        double* row = box;
        for (std::int64_t s = 0; s < extent[0]; ++s) {
            for (std::int64_t r = 0; r < extent[1]; ++r, row += extent[2]) {
                toned_row(stored, how, channel, first[0] + s, first[1] + r, first[2], extent[2], row);
            }
        }
    }

    double filtered(std::int64_t channel, const std::array<Window, 3>& windows) const noexcept {
        double sum = 0.0;
        for (std::int64_t s = 0; s < windows[0].count; ++s) {
            for (std::int64_t r = 0; r < windows[1].count; ++r) {
                const double* pixel =
                    box +
                    ((windows[0].first + s - first[0]) * extent[1] + windows[1].first + r - first[1]) * extent[2] +
                    windows[2].first - first[2];
                double row_sum = 0.0;
                for (std::int64_t x = 0; x < windows[2].count; ++x) {
                    row_sum += weights[2][x] * pixel[x];
                }
                sum += weights[0][s] * weights[1][r] * row_sum;
            }
        }
        const double outside = 1.0 - windows[0].inside * windows[1].inside * windows[2].inside;
        return how.border == Border::constant && outside > 0.0 ? sum + outside * how.fill[channel] : sum;
    }

    void make() noexcept {
        find_box();
        for (std::int64_t channel = 0; channel < out.channels; ++channel) {
            fill_box(channel);
            for (std::int64_t s = begin[0]; s < end[0]; ++s) {
                for (std::int64_t r = begin[1]; r < end[1]; ++r) {
                    make_row(channel, s, r);
                }
            }
        }
    }

    void make_row(std::int64_t channel, std::int64_t slice, std::int64_t row) const noexcept {
        float* target = out.row(channel, slice, row);
        std::array<Window, 3> windows;
        for (std::size_t i = 0; i < 3; ++i) {
            windows[i] = weigh(position(i, slice, row, begin[2]), axes[i], weights[i]);
        }
        for (std::int64_t x = begin[2]; x < end[2]; ++x) {
            for (std::size_t i = 0; i < 3; ++i) {
                if (how.to_stored.linear[i][2] != 0.0) { // in 2-D the slice axis never moves
                    windows[i] = weigh(position(i, slice, row, x), axes[i], weights[i]);
                }
            }
            target[x] = static_cast<float>(how.after[channel](filtered(channel, windows)));
        }
    }
};

} // namespace

template <class Stored>
void resample_affine(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads) {
    const std::array<Axis, 3> axes = how.axes(stored.shape);
    const Tiles tiles(how.to_stored, axes, out.shape);
    const std::int64_t taps[] = {axes[0].max_taps(), axes[1].max_taps(), axes[2].max_taps()};
    const std::int64_t count = tiles.count[0] * tiles.count[1] * tiles.count[2];
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, count));
    const std::int64_t scratch_size = taps[0] + taps[1] + taps[2] + tiles.box;
    std::vector<double> scratch(static_cast<std::size_t>(scratch_size * slots));

    ThreadPool::run(count, slots, [&](std::int64_t item, int slot) noexcept {
        double* own = scratch.data() + slot * scratch_size;
        const Shape place{item / (tiles.count[1] * tiles.count[2]), item / tiles.count[2] % tiles.count[1],
                          item % tiles.count[2]};
        Shape begin{}, end{};
        for (std::size_t i = 0; i < 3; ++i) {
            begin[i] = place[i] * tiles.size[i];
            end[i] = std::min(begin[i] + tiles.size[i], out.shape[i]);
        }
        Tile<Stored>{stored,
                     how,
                     out,
                     axes,
                     begin,
                     end,
                     {own, own + taps[0], own + taps[0] + taps[1]},
                     own + taps[0] + taps[1] + taps[2]}
            .make();
    });
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                                    \
    template void resample_affine(const StoredView<Stored>&, const Resampling&, const OutputView&, int);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)
MEDPLUG_INSTANTIATE(float)

} // namespace medplug
