#include "resample.hpp"
#include "toned_row.hpp"

namespace medplug {

namespace {

// Output rows are made in blocks, all from one sweep over the stored rows beneath: within a block each stored
// pixel passes `before` once. Blocks depend on the shapes alone, so their sums do not depend on the threads.
struct Blocks {
    std::int64_t columns; // stored columns that are read at all
    std::int64_t rows;
    std::int64_t slices;

    Blocks(const Window& column_reach, const Shape& out) noexcept
        : columns(std::max<std::int64_t>(column_reach.count, 1)) {
        constexpr std::int64_t budget = std::int64_t{1} << 17; // doubles: 1 MiB, about one core's second-level cache
        rows = std::clamp<std::int64_t>(budget / columns, 1, std::min<std::int64_t>(out[1], 16));
        slices = std::clamp<std::int64_t>(budget / (columns * rows), 1, std::min<std::int64_t>(out[0], 8));
    }
};

template <class Stored>
struct Separable {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const TapTable& slice_taps;
    const TapTable& row_taps;
    const TapTable& column_taps;
    const OutputView& out;
    Window columns;
    Blocks blocks;

    // Sums stored slices and rows into `sums`, [slices, rows, columns] of the block.
    void gather(std::int64_t channel, const Shape& begin, const Shape& end, double* sums, double* row) const noexcept {
        const std::int64_t height = end[1] - begin[1];
        std::fill(sums, sums + (end[0] - begin[0]) * height * columns.count, 0.0);
        const Window slices = slice_taps.reach(begin[0], end[0]);
        const Window rows = row_taps.reach(begin[1], end[1]);
        for (std::int64_t s = slices.first; s < slices.first + slices.count; ++s) {
            if (!read_by(slice_taps, begin[0], end[0], s)) {
                continue;
            }
            for (std::int64_t r = rows.first; r < rows.first + rows.count; ++r) {
                if (!read_by(row_taps, begin[1], end[1], r)) {
                    continue;
                }
                toned_row(stored, how, channel, s, r, columns.first, columns.count, row);
                for (std::int64_t os = begin[0]; os < end[0]; ++os) {
                    const double slice_weight = weight_of(slice_taps, os, s);
                    for (std::int64_t o = begin[1]; slice_weight > 0.0 && o < end[1]; ++o) {
                        const double weight = slice_weight * weight_of(row_taps, o, r);
                        if (weight > 0.0) { // zero times NaN is NaN
                            double* sum = sums + ((os - begin[0]) * height + o - begin[1]) * columns.count;
                            for (std::int64_t x = 0; x < columns.count; ++x) {
                                sum[x] += weight * row[x];
                            }
                        }
                    }
                }
            }
        }
    }

    // Sums along the columns, adds the border's share and finishes with after[channel].
    void finish_row(std::int64_t channel, std::int64_t slice, std::int64_t row, const double* sums) const noexcept {
        float* target = out.row(channel, slice, row);
        const double inside = slice_taps[slice].inside * row_taps[row].inside;
        const Tone& after = how.after[channel];
        for (std::int64_t x = 0; x < out.shape[2]; ++x) {
            const Window& window = column_taps[x];
            const double* weights = column_taps.weights_of(x);
            const std::int64_t from = window.first - columns.first; // no place in `sums` where the window is empty
            double sum = 0.0;
            for (std::int64_t k = 0; k < window.count; ++k) {
                sum += weights[k] * sums[from + k];
            }
            const double outside = 1.0 - inside * window.inside;
            if (how.border == Border::constant && outside > 0.0) {
                sum += outside * how.fill[channel];
            }
            target[x] = static_cast<float>(after(sum));
        }
    }

    void make_block(const Shape& begin, const Shape& end, double* scratch) const noexcept {
        double* sums = scratch + columns.count;
        for (std::int64_t channel = 0; channel < out.channels; ++channel) {
            gather(channel, begin, end, sums, scratch);
            for (std::int64_t s = begin[0]; s < end[0]; ++s) {
                for (std::int64_t r = begin[1]; r < end[1]; ++r) {
                    const std::int64_t place = (s - begin[0]) * (end[1] - begin[1]) + r - begin[1];
                    finish_row(channel, s, r, sums + place * columns.count);
                }
            }
        }
    }

    static double weight_of(const TapTable& taps, std::int64_t output, std::int64_t pixel) noexcept {
        const Window& window = taps[output];
        const std::int64_t k = pixel - window.first;
        return k >= 0 && k < window.count ? taps.weights_of(output)[k] : 0.0;
    }

    static bool read_by(const TapTable& taps, std::int64_t begin, std::int64_t end, std::int64_t pixel) noexcept {
        for (std::int64_t output = begin; output < end; ++output) {
            if (weight_of(taps, output, pixel) > 0.0) {
                return true;
            }
        }
        return false;
    }
};

} // namespace

template <class Stored>
void resample_separable(const StoredView<Stored>& stored, const Resampling& how, const TapTables& tables,
                        const OutputView& out, int threads) {
    const Window columns = tables[2].reach(0, out.shape[2]);
    const Blocks blocks(columns, out.shape);
    const Separable<Stored> kernel{stored, how, tables[0], tables[1], tables[2], out, columns, blocks};

    const std::int64_t down = (out.shape[0] + blocks.slices - 1) / blocks.slices;
    const std::int64_t across = (out.shape[1] + blocks.rows - 1) / blocks.rows;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, down * across));
    const std::int64_t scratch_size = blocks.columns * (1 + blocks.rows * blocks.slices);
    std::vector<double> scratch(static_cast<std::size_t>(scratch_size * slots));

    ThreadPool::run(down * across, slots, [&](std::int64_t item, int slot) noexcept {
        const Shape begin{item / across * blocks.slices, item % across * blocks.rows, 0};
        const Shape end{std::min(begin[0] + blocks.slices, out.shape[0]),
                        std::min(begin[1] + blocks.rows, out.shape[1]), out.shape[2]};
        kernel.make_block(begin, end, scratch.data() + slot * scratch_size);
    });
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                                    \
    template void resample_separable(const StoredView<Stored>&, const Resampling&, const TapTables&,                   \
                                     const OutputView&, int);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)
MEDPLUG_INSTANTIATE(float)

} // namespace medplug
