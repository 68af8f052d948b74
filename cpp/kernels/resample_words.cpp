// Separable resampling of stored integers: the tone, the sums over rows and then those over columns in 16-bit words. It
// serves what most images are, a clamped window over contiguous rows; everything else takes the exact path.
#include "resample_words.hpp"

#include "kept.hpp"
#include "row_plan.hpp"
#include "scratch.hpp"
#include "whole_rows.hpp"
#include "word_channels.hpp"

#include <cmath>

namespace medplug {

namespace {

constexpr std::int64_t kMostChunks = 32; // of a window along the columns: its weights have 16 bits
constexpr std::int64_t kMostWeights = std::int64_t{1} << 22;
constexpr std::int64_t kMostColumns = std::int64_t{1} << 14; // bounds a thread's scratch memory to half a MiB

template <class Stored>
auto row_kernel() noexcept {
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        return kernels().sum_rows_uint8;
    } else if constexpr (std::is_same_v<Stored, std::int8_t>) {
        return kernels().sum_rows_int8;
    } else if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        return kernels().sum_rows_uint16;
    } else {
        return kernels().sum_rows_int16;
    }
}

// A channel together with the weights of its rows, whose bits depend on its words, and what brings their sums back to
// words.
struct PlannedChannel : WordChannel {
    std::shared_ptr<const RowPlan> rows;
    int shift = 0;
};

int shift_to_words(std::int64_t high, int bits) noexcept {
    int shift = 0;
    while (((high << bits) + (std::int64_t{1} << shift >> 1)) >> shift > 32767) {
        ++shift;
    }
    return shift;
}

struct RowPlanKey {
    AxisMap map;
    std::int64_t most;

    bool operator==(const RowPlanKey& other) const noexcept { return map == other.map && most == other.most; }
};

// A thread's: the sums that one row hands to the next, and a panel of rows of words.
struct Scratch {
    std::int64_t padded, pitch;

    Scratch(std::int64_t columns, std::int64_t chunks) noexcept
        : padded((columns + kColumnPad - 1) / kColumnPad * kColumnPad),
          pitch((padded + kChunk * chunks + kColumnPad - 1) / kColumnPad * kColumnPad) {}
    std::int64_t carried_bytes() const noexcept { return padded * static_cast<std::int64_t>(sizeof(std::int32_t)); }
    std::int64_t bytes() const noexcept {
        return carried_bytes() + kPanel * pitch * static_cast<std::int64_t>(sizeof(std::int16_t));
    }
};

template <class Stored>
struct Words {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const TapTables& tables;
    const OutputView& out;
    Window columns;
    const ColumnPlan& column_plan;
    const std::vector<PlannedChannel>& channels;
    const Scratch layout;

    void make_panel(std::int64_t c, std::int64_t slice, std::int64_t begin, std::int64_t end,
                    std::byte* scratch) const noexcept {
        const PlannedChannel& channel = channels[static_cast<std::size_t>(c)];
        auto* carried = reinterpret_cast<std::int32_t*>(scratch);
        auto* panel = reinterpret_cast<std::int16_t*>(scratch + layout.carried_bytes());
        sum_rows(channel, slice, begin, end, panel, carried);

        const bool reversed = channel.rows->reversed;
        const std::int64_t row = reversed ? out.shape[1] - 1 - begin : begin;
        kernels().sum_columns({panel, layout.pitch, column_plan.weights.data(), column_plan.first.data(),
                               column_plan.chunks, out.shape[2], static_cast<float>(channel.gain),
                               static_cast<float>(channel.bias), out.row(c, slice, row),
                               reversed ? -out.shape[2] : out.shape[2], end - begin});
        for (std::int64_t i = begin; i < end; ++i) {
            finish_row(channel, c, slice, reversed ? out.shape[1] - 1 - i : i);
        }
    }

    void sum_rows(const PlannedChannel& channel, std::int64_t slice, std::int64_t begin, std::int64_t end,
                  std::int16_t* panel, std::int32_t* carried) const noexcept {
        const RowPlan& plan = *channel.rows;
        const std::byte* origin = stored.row(channel.stored, tables[0][slice].first, 0) +
                                  columns.first * static_cast<std::int64_t>(sizeof(Stored));
        RowSum job{};
        job.stride = stored.strides[1];
        job.columns = columns.count;
        job.tone = &channel.tone;
        job.carried = carried;
        job.carries = plan.shared;
        job.shift = channel.shift;
        const auto kernel = row_kernel<Stored>();
        const std::int64_t last = plan.shared ? end : end - 1;
        for (std::int64_t i = begin; i <= last; ++i) {
            const RowPlan::Step& step = plan.steps[static_cast<std::size_t>(i)];
            const bool ends = !plan.shared || i > begin;
            const bool starts = plan.shared && i < end;
            job.first = origin + step.first * job.stride;
            job.rows = step.rows;
            job.ending = ends ? plan.weights.data() + step.ending : nullptr;
            job.starting = starts ? plan.weights.data() + step.starting : nullptr;
            job.finished = panel + (plan.shared ? i - 1 - begin : i - begin) * layout.pitch;
            const RowPlan::Step& next = plan.steps[std::min(static_cast<std::size_t>(i + 1), plan.steps.size() - 1)];
            job.next = origin + next.first * job.stride;
            job.next_rows = std::min<std::int64_t>(next.rows, 16);
            kernel(job);
        }
    }

    // What the sums lack: the border's constant, and a curve after the resampling.
    void finish_row(const PlannedChannel& channel, std::int64_t c, std::int64_t slice,
                    std::int64_t row) const noexcept {
        float* target = out.row(c, slice, row);
        const double inside_row = tables[1][row].inside;
        if (how.border == Border::constant) {
            for (std::int64_t x = 0; x < out.shape[2]; ++x) {
                const double outside = 1.0 - inside_row * tables[2][x].inside;
                if (outside > 0.0) {
                    target[x] = static_cast<float>(static_cast<double>(target[x]) + outside * channel.background);
                }
            }
        }
        apply_after(channel, how.after[c], target, out.shape[2]);
    }
};

} // namespace

template <class Stored>
bool resample_words(const StoredView<Stored>& stored, const Resampling& how, const TapTables& tables,
                    const OutputView& out, int threads) {
    const Window columns = tables[2].reach(0, out.shape[2]);
    if (how.filter == Filter::nearest || columns.count == 0 || columns.count > kMostColumns ||
        ColumnPlan::chunks_of(tables[2]) > kMostChunks ||
        ColumnPlan::chunks_of(tables[2]) * kChunk * out.shape[2] > kMostWeights ||
        !copies_slices(tables[0], out.shape[0]) || !worth_copying(stored)) {
        return false;
    }
    std::vector<PlannedChannel> channels;
    for (WordChannel& channel : word_channels(stored, how, out.channels)) {
        auto rows = Kept<RowPlanKey, RowPlan>::of({tables.maps[1], channel.tone.high},
                                                  [&] { return RowPlan(tables[1], out.shape[1], channel.tone.high); });
        const int shift = shift_to_words(channel.tone.high, rows->bits);
        channel.gain = std::ldexp(channel.gain, shift - rows->bits);
        channels.push_back({channel, std::move(rows), shift});
    }
    if (channels.empty()) {
        return false;
    }
    const auto column_plan =
        Kept<AxisMap, ColumnPlan>::of(tables.maps[2], [&] { return ColumnPlan(tables[2], out.shape[2], columns); });
    for (PlannedChannel& channel : channels) {
        channel.gain = std::ldexp(channel.gain, -column_plan->bits);
    }
    const WholeRows<Stored> whole(stored);
    const Scratch layout(columns.count, column_plan->chunks);
    const Words<Stored> kernel{whole.view(), how, tables, out, columns, *column_plan, channels, layout};

    const std::int64_t panels = (out.shape[1] + kPanel - 1) / kPanel;
    const std::int64_t items = out.channels * out.shape[0] * panels;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    const KeptScratch scratch(slots, layout.bytes());
    ThreadPool::instance().run(items, slots, [&](std::int64_t item, int slot) noexcept {
        const std::int64_t begin = item % panels * kPanel;
        const std::int64_t plane = item / panels;
        kernel.make_panel(plane / out.shape[0], plane % out.shape[0], begin, std::min(begin + kPanel, out.shape[1]),
                          scratch.of(slot));
    });
    return true;
}

template bool resample_words(const StoredView<std::uint8_t>&, const Resampling&, const TapTables&, const OutputView&,
                             int);
template bool resample_words(const StoredView<std::int8_t>&, const Resampling&, const TapTables&, const OutputView&,
                             int);
template bool resample_words(const StoredView<std::uint16_t>&, const Resampling&, const TapTables&, const OutputView&,
                             int);
template bool resample_words(const StoredView<std::int16_t>&, const Resampling&, const TapTables&, const OutputView&,
                             int);

} // namespace medplug
