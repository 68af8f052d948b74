#include "resample.hpp"

namespace medplug {

namespace {

// One output row at a time. The weight of a stored pixel is the product of its weights along the stored axes,
// so each output pixel needs one short list of weights per axis.
template <class Stored>
struct Direct {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const OutputView& out;
    std::array<Axis, 3> axes;

    double toned(std::int64_t channel, const std::byte* pixel) const noexcept {
        if (how.matrix == nullptr) {
            return how.before[channel](
                static_cast<double>(load<Stored>(pixel + channel * stored.channel_stride)));
        }
        double mixed = 0.0;
        for (std::int64_t k = 0; k < stored.channels; ++k) {
            const auto value = static_cast<double>(load<Stored>(pixel + k * stored.channel_stride));
            mixed += how.matrix[channel * stored.channels + k] * value;
        }
        return how.before[channel](mixed);
    }

    double filtered(std::int64_t channel, const std::array<Window, 3>& windows,
                    const std::array<double*, 3>& weights) const noexcept {
        double sum = 0.0;
        for (std::int64_t s = 0; s < windows[0].count; ++s) {
            for (std::int64_t r = 0; r < windows[1].count; ++r) {
                const std::byte* pixel = stored.row(0, windows[0].first + s, windows[1].first + r) +
                                         windows[2].first * stored.strides[2];
                double row_sum = 0.0;
                for (std::int64_t x = 0; x < windows[2].count; ++x, pixel += stored.strides[2]) {
                    row_sum += weights[2][x] * toned(channel, pixel);
                }
                sum += weights[0][s] * weights[1][r] * row_sum;
            }
        }
        const double outside = 1.0 - windows[0].inside * windows[1].inside * windows[2].inside;
        return how.border == Border::constant && outside > 0.0 ? sum + outside * how.fill[channel] : sum;
    }

    void make_row(std::int64_t slice, std::int64_t row,
                  const std::array<double*, 3>& weights) const noexcept {
        std::array<Window, 3> windows;
        std::array<double, 3> start{}, step{};
        for (std::size_t i = 0; i < 3; ++i) {
            const auto& linear = how.to_stored.linear[i];
            start[i] = linear[0] * static_cast<double>(slice) + linear[1] * static_cast<double>(row) +
                       how.to_stored.shift[i];
            step[i] = linear[2];
            windows[i] = weigh(start[i], axes[i], weights[i]);
        }
        for (std::int64_t x = 0; x < out.shape[2]; ++x) {
            for (std::size_t i = 0; i < 3; ++i) {
                if (step[i] != 0.0) { // in 2-D the slice axis never moves
                    windows[i] = weigh(start[i] + step[i] * static_cast<double>(x), axes[i], weights[i]);
                }
            }
            for (std::int64_t channel = 0; channel < out.channels; ++channel) {
                out.row(channel, slice, row)[x] =
                    static_cast<float>(how.after[channel](filtered(channel, windows, weights)));
            }
        }
    }
};

} // namespace

template <class Stored>
void resample_affine(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out,
                     int threads) {
    const Direct<Stored> kernel{stored, how, out, how.axes(stored.shape)};
    std::array<std::int64_t, 3> taps{};
    for (std::size_t i = 0; i < 3; ++i) {
        taps[i] = kernel.axes[i].max_taps();
    }
    const std::int64_t rows = out.shape[0] * out.shape[1];
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, rows));
    const std::int64_t scratch_size = taps[0] + taps[1] + taps[2];
    std::vector<double> scratch(static_cast<std::size_t>(scratch_size * slots));

    ThreadPool::instance().run(rows, slots, [&](std::int64_t item, int slot) noexcept {
        double* own = scratch.data() + slot * scratch_size;
        kernel.make_row(item / out.shape[1], item % out.shape[1],
                        {own, own + taps[0], own + taps[0] + taps[1]});
    });
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                          \
    template void resample_affine(const StoredView<Stored>&, const Resampling&, const OutputView&, int);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)
MEDPLUG_INSTANTIATE(float)

} // namespace medplug
