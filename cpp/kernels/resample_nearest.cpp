#include "resample_nearest.hpp"

#include <limits>

namespace medplug {

namespace {

constexpr std::int64_t kRows = 16;    // that a thread takes at a time
constexpr std::int64_t kOutputs = 64; // whose pixels are found before any is read

// Where some outputs of one row take their pixel, in bytes from the image's origin; kOutside where there is none.
using Offsets = std::array<std::int64_t, kOutputs>;
constexpr std::int64_t kOutside = std::numeric_limits<std::int64_t>::min();

template <class Stored>
struct Nearest {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const OutputView& out;

    void make_row(std::int64_t slice, std::int64_t row) const noexcept {
        Offsets offsets;
        for (std::int64_t begin = 0; begin < out.shape[2]; begin += kOutputs) {
            const std::int64_t count = std::min(kOutputs, out.shape[2] - begin);
            offsets.fill(0);
            for (std::size_t axis = 0; axis < 3; ++axis) {
                find(axis, slice, row, begin, count, offsets);
            }
            for (std::int64_t channel = 0; channel < out.channels; ++channel) {
                take(channel, offsets, count, out.row(channel, slice, row) + begin);
            }
        }
    }

    void find(std::size_t axis, std::int64_t slice, std::int64_t row, std::int64_t begin, std::int64_t count,
              Offsets& offsets) const noexcept {
        const auto& linear = how.to_stored.linear[axis];
        const double start =
            linear[0] * static_cast<double>(slice) + linear[1] * static_cast<double>(row) + how.to_stored.shift[axis];
        const double step = linear[2], last = static_cast<double>(stored.shape[axis] - 1);
        const bool clamps = how.border == Border::edge;
        const std::int64_t stride = stored.strides[axis];
        const auto moved = [=](std::int64_t offset, std::int64_t x) {
            double there = start + step * static_cast<double>(x);
            if (clamps) {
                there = std::clamp(there, 0.0, last);
            }
            there += 0.5 + kPositionNoise; // a tie goes up, and noise must not decide it
            const bool inside = there >= 0.0 && there < last + 1.0 && offset != kOutside;
            return inside ? offset + static_cast<std::int64_t>(there) * stride : kOutside;
        };
        if (step == 0.0 && axis == 0) { // a flat image's slices, for all of them at once
            offsets.fill(moved(0, begin));
            return;
        }
        for (std::int64_t i = 0; i < count; ++i) {
            std::int64_t& offset = offsets[static_cast<std::size_t>(i)];
            offset = moved(offset, begin + i);
        }
    }

    void take(std::int64_t channel, const Offsets& offsets, std::int64_t count, float* target) const noexcept {
        const Tone before = how.before[channel], after = how.after[channel]; // copies: `target` could be these
        const double fill = how.fill[channel];
        const std::byte* origin = stored.origin;
        const double* weights = how.matrix == nullptr ? nullptr : how.matrix + channel * stored.channels;
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t offset = offsets[static_cast<std::size_t>(i)];
            double value = fill;
            if (offset != kOutside) {
                const std::int64_t first = weights == nullptr ? channel : 0;
                value = static_cast<double>(load<Stored>(origin + first * stored.channel_stride + offset));
                if (weights != nullptr) {
                    value *= weights[0];
                    for (std::int64_t k = 1; k < stored.channels; ++k) {
                        value +=
                            weights[k] * static_cast<double>(load<Stored>(origin + k * stored.channel_stride + offset));
                    }
                }
                value = before(value);
            }
            target[i] = static_cast<float>(after(value + 0.0)); // a sum of one, so never -0
        }
    }
};

} // namespace

template <class Stored>
void resample_nearest(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads) {
    const Nearest<Stored> nearest{stored, how, out};
    const std::int64_t rows = out.shape[0] * out.shape[1];
    const std::int64_t items = (rows + kRows - 1) / kRows;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    ThreadPool::run(items, slots, [&](std::int64_t item, int) noexcept {
        for (std::int64_t row = item * kRows; row < std::min((item + 1) * kRows, rows); ++row) {
            nearest.make_row(row / out.shape[1], row % out.shape[1]);
        }
    });
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                                    \
    template void resample_nearest(const StoredView<Stored>&, const Resampling&, const OutputView&, int);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)
MEDPLUG_INSTANTIATE(float)

} // namespace medplug
