// A file's rows go from the system's cache into the processor's, and from there into the sums: 1.3 times as fast as to
// read the image first, and without its memory.
#include "resample_file.hpp"

#include "scratch.hpp"
#include "words.hpp"

#include <atomic>

namespace medplug {

namespace {

constexpr std::int64_t kBytes = 3 << 18;     // of rows at a time, where that is a panel's or more: a cache holds them
constexpr std::int64_t kMostBytes = 4 << 20; // of a panel's

// The stored rows that some outputs read; how many outputs are made of rows that are read together.
struct RowsOf {
    const RowPlan& plan;
    std::int64_t outputs;

    std::int64_t last_step(std::int64_t end) const noexcept { return plan.shared ? end : end - 1; }
    Window between(std::int64_t begin, std::int64_t end) const noexcept {
        std::int64_t first = -1, stop = -1;
        for (std::int64_t i = begin; i <= last_step(end); ++i) {
            const RowPlan::Step& step = plan.steps[static_cast<std::size_t>(i)];
            if (step.rows > 0) {
                first = first < 0 ? step.first : std::min(first, step.first);
                stop = std::max(stop, step.first + step.rows);
            }
        }
        return {first, stop - first, 0.0};
    }
    std::int64_t most_rows(std::int64_t together) const noexcept {
        std::int64_t most = 0;
        for (std::int64_t begin = 0; begin < outputs; begin += together) {
            most = std::max(most, between(begin, std::min(begin + together, outputs)).count);
        }
        return most;
    }
};

} // namespace

template <class Stored>
bool resample_file(const StoredFile& file, const StoredView<Stored>& stored, const Resampling& how,
                   const OutputView& out, int threads) {
    constexpr std::array<std::size_t, 3> in_place{0, 1, 2};
    std::array<std::size_t, 3> axis{};
    // `resample` looks up other tones first.
    if (out.channels != 1 || !how.before[0].is_clamped_line() || !find_stored_axes(how.to_stored, out.shape, axis) ||
        axis != in_place) {
        return false;
    }
    const std::array<Axis, 3> axes = how.axes(stored.shape);
    const auto map = [&](std::size_t j) {
        return AxisMap{axes[j], how.to_stored.linear[j][j], how.to_stored.shift[j], out.shape[j]};
    };
    const TapTables tables({map(0), map(1), map(2)});
    const auto plan = plan_words(stored, how, tables, out);
    if (!plan) {
        return false;
    }
    const std::int64_t slices = stored.shape[0], rows = stored.shape[1], columns = stored.shape[2];
    const std::int64_t stride = columns * static_cast<std::int64_t>(sizeof(Stored));
    const Words<Stored> words{how, tables, out, *plan, stride};
    const PlannedChannel& channel = plan->channels.front();
    const RowsOf rows_of{*channel.rows, out.shape[1]};
    const std::int64_t panel_bytes = std::max<std::int64_t>(rows_of.most_rows(kPanel) * stride, 1);
    if (panel_bytes > kMostBytes) {
        return false;
    }
    const std::int64_t panels = (out.shape[1] + kPanel - 1) / kPanel;
    const std::int64_t together = kPanel * std::clamp<std::int64_t>(kBytes / panel_bytes, 1, panels);
    const std::int64_t groups = (out.shape[1] + together - 1) / together;
    const std::int64_t items = out.shape[0] * groups;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    const std::int64_t rows_at = (words.layout.bytes() + 63) / 64 * 64;
    const KeptScratch scratch(slots, rows_at + rows_of.most_rows(together) * stride);
    std::atomic<bool> all_there{true};
    ThreadPool::run(items, slots, [&](std::int64_t item, int slot) noexcept {
        const std::int64_t slice = item / groups, begin = item % groups * together;
        const std::int64_t end = std::min(begin + together, out.shape[1]);
        const Window those = rows_of.between(begin, end);
        auto* buffer = reinterpret_cast<Stored*>(scratch.of(slot) + rows_at);
        const std::int64_t above = (channel.stored * slices + tables[0][slice].first) * rows + those.first;
        if (!all_there || !read_values(file, above * columns, those.count * columns, buffer)) {
            all_there = false;
            return;
        }
        const std::byte* origin = reinterpret_cast<const std::byte*>(buffer) - those.first * stride;
        for (std::int64_t panel = begin; panel < end; panel += kPanel) {
            words.make_panel(0, slice, panel, std::min(panel + kPanel, end), origin, rows_of.last_step(end),
                             scratch.of(slot));
        }
    });
    return all_there;
}

template bool resample_file(const StoredFile&, const StoredView<std::uint8_t>&, const Resampling&, const OutputView&,
                            int);
template bool resample_file(const StoredFile&, const StoredView<std::int8_t>&, const Resampling&, const OutputView&,
                            int);
template bool resample_file(const StoredFile&, const StoredView<std::uint16_t>&, const Resampling&, const OutputView&,
                            int);
template bool resample_file(const StoredFile&, const StoredView<std::int16_t>&, const Resampling&, const OutputView&,
                            int);

} // namespace medplug
