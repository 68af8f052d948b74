// Trilinear resampling along any axes, tile by tile, so that what neighbouring outputs share is still in the cache. A
// row of a tile falls into runs: inside, where the kernel asks nothing; at the border, one by one; and outside.
#include "resample_oblique.hpp"

#include "word_channel.hpp"

#include <cmath>

namespace medplug {

namespace {

constexpr Shape kTile{16, 16, 128};
constexpr double kFarthest = 500.0;         // pixels that a run may travel: a position keeps kPositionBits below them
constexpr double kMargin = 1.0 / (1 << 13); // what positions may be off by, and more

template <class Stored>
auto lerp_run() noexcept {
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        return kernels().lerp_run_uint8;
    } else if constexpr (std::is_same_v<Stored, std::int8_t>) {
        return kernels().lerp_run_int8;
    } else if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        return kernels().lerp_run_uint16;
    } else {
        return kernels().lerp_run_int16;
    }
}

// The columns begin .. end - 1 of a row.
struct Run {
    std::int64_t begin, end;
};

template <class Stored>
struct Oblique {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const OutputView& out;
    const std::vector<WordChannel>& channels;
    std::int64_t width; // of a tile: no run is longer

    double position(std::size_t axis, std::int64_t slice, std::int64_t row, std::int64_t column) const noexcept {
        const auto& linear = how.to_stored.linear[axis];
        return linear[0] * static_cast<double>(slice) + linear[1] * static_cast<double>(row) +
               how.to_stored.shift[axis] + linear[2] * static_cast<double>(column);
    }

    // Whether, on every axis, the position lies `within` from the first pixel and from the last.
    bool lies(std::int64_t slice, std::int64_t row, std::int64_t column, double within) const noexcept {
        for (std::size_t i = 0; i < 3; ++i) {
            const double here = position(i, slice, row, column);
            if (!(here >= within && here <= static_cast<double>(stored.shape[i] - 1) - within)) {
                return false;
            }
        }
        return true;
    }

    // The part of `run` where `lies` holds: an interval on each axis, so it is one.
    Run part(std::int64_t slice, std::int64_t row, Run run, double within) const noexcept {
        for (std::size_t i = 0; i < 3; ++i) {
            const double step = how.to_stored.linear[i][2];
            if (step != 0.0) {
                const double origin = position(i, slice, row, 0);
                double low = (within - origin) / step;
                double high = (static_cast<double>(stored.shape[i] - 1) - within - origin) / step;
                if (low > high) {
                    std::swap(low, high);
                }
                const auto least = static_cast<double>(run.begin), most = static_cast<double>(run.end);
                run.begin = static_cast<std::int64_t>(std::clamp(std::floor(low), least, most));
                run.end = static_cast<std::int64_t>(std::clamp(std::ceil(high) + 1.0, least, most));
            }
        }
        while (run.begin < run.end && !lies(slice, row, run.begin, within)) {
            ++run.begin;
        }
        while (run.begin < run.end && !lies(slice, row, run.end - 1, within)) {
            --run.end;
        }
        return run;
    }

    void make_tile(std::int64_t c, const Shape& begin, const Shape& end) const noexcept {
        const WordChannel& channel = channels[static_cast<std::size_t>(c)];
        bool whole = true; // inside: an affine map is extreme at the corners
        for (int corner = 0; corner < 8 && whole; ++corner) {
            whole = lies(corner & 1 ? begin[0] : end[0] - 1, corner & 2 ? begin[1] : end[1] - 1,
                         corner & 4 ? begin[2] : end[2] - 1, kMargin);
        }
        for (std::int64_t s = begin[0]; s < end[0]; ++s) {
            for (std::int64_t r = begin[1]; r < end[1]; ++r) {
                float* target = out.row(c, s, r);
                const Run all{begin[2], end[2]};
                if (whole) {
                    make_inside(channel, s, r, all, target);
                } else {
                    make_row(channel, s, r, all, target);
                }
                for (std::int64_t x = all.begin; channel.finish != nullptr && x < all.end; ++x) {
                    target[x] = static_cast<float>((*channel.finish)(static_cast<double>(target[x])));
                }
            }
        }
    }

    void make_row(const WordChannel& channel, std::int64_t slice, std::int64_t row, Run all,
                  float* target) const noexcept {
        // Where the border repeats, what is outside takes the way of the border, too.
        const Run touched = how.border == Border::constant ? part(slice, row, all, -1.0) : all;
        const Run inside = part(slice, row, touched, kMargin);
        const auto fill = std::clamp(static_cast<float>(channel.fill * channel.gain + channel.bias), channel.low,
                                     channel.high);
        std::fill(target + all.begin, target + touched.begin, fill);
        std::fill(target + touched.end, target + all.end, fill);
        for (std::int64_t x = touched.begin; x < inside.begin; ++x) {
            target[x] = at_border(channel, slice, row, x);
        }
        make_inside(channel, slice, row, inside, target);
        for (std::int64_t x = inside.end; x < touched.end; ++x) {
            target[x] = at_border(channel, slice, row, x);
        }
    }

    void make_inside(const WordChannel& channel, std::int64_t slice, std::int64_t row, Run run,
                     float* target) const noexcept {
        if (run.begin == run.end) {
            return;
        }
        RunLerp job{};
        job.slice_stride = stored.strides[0];
        job.row_stride = stored.strides[1];
        job.base = stored.row(channel.stored, 0, 0);
        for (std::size_t i = 0; i < 3; ++i) {
            const double here = position(i, slice, row, run.begin);
            const double pixel = std::floor(here);
            job.base += static_cast<std::int64_t>(pixel) * stored.strides[i];
            constexpr double one = 1 << kPositionBits;
            // Within a slice weights are cut to kWeightBits: half a unit more makes that rounding.
            const std::int32_t half = i == 0 ? 0 : 1 << (kPositionBits - kWeightBits - 1);
            job.first[i] = static_cast<std::int32_t>(std::nearbyint((here - pixel) * one)) + half;
            job.step[i] = static_cast<std::int32_t>(std::nearbyint(how.to_stored.linear[i][2] * one));
        }
        job.tone = &channel.tone;
        job.clamps = channel.clamps;
        job.center = channel.center_sum();
        job.gain = static_cast<float>(channel.gain);
        job.bias = static_cast<float>(channel.bias);
        job.low = channel.low;
        job.high = channel.high;
        job.out = target + run.begin;
        job.count = run.end - run.begin;
        lerp_run<Stored>()(job);
    }

    // The same with tests, as every pixel may lie outside.
    float at_border(const WordChannel& channel, std::int64_t slice, std::int64_t row, std::int64_t column) const noexcept {
        std::array<std::array<double, 2>, 3> weights;
        std::array<std::array<std::int64_t, 2>, 3> pixels;
        for (std::size_t i = 0; i < 3; ++i) {
            const auto last = static_cast<double>(stored.shape[i] - 1);
            const bool repeats = how.border == Border::edge;
            const double here = std::clamp(position(i, slice, row, column), repeats ? 0.0 : -1.0, repeats ? last : last + 1.0);
            const double pixel = std::floor(here);
            weights[i] = {1.0 - (here - pixel), here - pixel};
            pixels[i] = {static_cast<std::int64_t>(pixel), static_cast<std::int64_t>(pixel) + 1};
        }
        double sum = 0.0, inside = 0.0;
        const auto there = [&](std::size_t i, std::size_t k) {
            return pixels[i][k] >= 0 && pixels[i][k] < stored.shape[i] && weights[i][k] > 0.0;
        };
        for (std::size_t s = 0; s < 2; ++s) {
            for (std::size_t r = 0; r < 2; ++r) {
                if (!there(0, s) || !there(1, r)) {
                    continue;
                }
                const std::byte* from = stored.row(channel.stored, pixels[0][s], pixels[1][r]);
                const double weight = weights[0][s] * weights[1][r];
                for (std::size_t x = 0; x < 2; ++x) {
                    if (there(2, x)) {
                        const auto value = load<Stored>(from + pixels[2][x] * stored.strides[2]);
                        sum += weight * weights[2][x] * (channel.word(value) - channel.center);
                        inside += weight * weights[2][x];
                    }
                }
            }
        }
        sum = sum * kNegatedOne + (how.border == Border::constant ? (1.0 - inside) * channel.fill : 0.0);
        return std::clamp(static_cast<float>(sum * channel.gain + channel.bias), channel.low, channel.high);
    }
};

// The longest runs whose positions, and offsets from their first pixel, fit 32 bits.
std::int64_t longest_run(const Affine& map, const std::array<std::int64_t, 3>& strides) noexcept {
    double farthest = 0.0, reach = 0.0;
    for (std::size_t i = 0; i < 3; ++i) {
        farthest = std::max(farthest, std::abs(map.linear[i][2]));
        reach += std::abs(map.linear[i][2]) * std::abs(static_cast<double>(strides[i]));
    }
    const double most = std::min(kFarthest / farthest, 1e9 / reach);
    return static_cast<std::int64_t>(std::min(most, static_cast<double>(kTile[2])));
}

} // namespace

template <class Stored>
bool resample_oblique(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads) {
    constexpr std::int64_t shortest = 16; // below, the exact path is as fast
    const auto axes = how.axes(stored.shape);
    const std::int64_t longest = longest_run(how.to_stored, stored.strides);
    if (how.filter == Filter::nearest || stored.strides[2] != static_cast<std::int64_t>(sizeof(Stored)) ||
        std::min({stored.shape[0], stored.shape[1], stored.shape[2]}) < 2 || longest < shortest ||
        std::max({axes[0].support, axes[1].support, axes[2].support}) > 1.0 ||
        std::max(std::abs(stored.strides[0]), std::abs(stored.strides[1])) > std::numeric_limits<std::int32_t>::max()) {
        return false;
    }
    const auto channels = word_channels<Stored>(how, out.channels, stored.channels);
    if (channels.empty()) {
        return false;
    }
    Shape size = kTile, count{};
    const std::int64_t across = (out.shape[2] + longest - 1) / longest;
    size[2] = ((out.shape[2] + across - 1) / across + 15) / 16 * 16;
    size[2] = std::min(size[2], longest);
    for (std::size_t i = 0; i < 3; ++i) {
        count[i] = (out.shape[i] + size[i] - 1) / size[i];
    }
    const Oblique<Stored> oblique{stored, how, out, channels, size[2]};
    const std::int64_t items = out.channels * count[0] * count[1] * count[2];
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    ThreadPool::instance().run(items, slots, [&](std::int64_t item, int) noexcept {
        const Shape place{item / (count[1] * count[2]) % count[0], item / count[2] % count[1], item % count[2]};
        Shape begin{}, end{};
        for (std::size_t i = 0; i < 3; ++i) {
            begin[i] = place[i] * size[i];
            end[i] = std::min(begin[i] + size[i], out.shape[i]);
        }
        oblique.make_tile(item / (count[0] * count[1] * count[2]), begin, end);
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
