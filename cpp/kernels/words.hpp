#pragma once

#include "kept.hpp"
#include "resample.hpp"
#include "row_plan.hpp"
#include "word_channels.hpp"

#include <cmath>
#include <memory>
#include <optional>

// Separable resampling in 16-bit words: what a call of it is made of, wherever its rows come from.
namespace medplug {

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

inline int shift_to_words(std::int64_t high, int bits) noexcept {
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

struct WordPlan {
    Window columns;
    std::shared_ptr<const ColumnPlan> column_plan;
    std::vector<PlannedChannel> channels;
};

// Nothing where words do not do. Looks at the shape alone. Throws std::bad_alloc.
template <class Stored>
std::optional<WordPlan> plan_words(const StoredView<Stored>& stored, const Resampling& how, const TapTables& tables,
                                   const OutputView& out) {
    constexpr std::int64_t most_chunks = 32; // of a window along the columns: its weights have 16 bits
    constexpr std::int64_t most_weights = std::int64_t{1} << 22;
    constexpr std::int64_t most_columns = std::int64_t{1} << 14; // bounds a thread's scratch memory to half a MiB
    const Window columns = tables[2].reach(0, out.shape[2]);
    const std::int64_t chunks = ColumnPlan::chunks_of(tables[2]);
    if (how.filter == Filter::nearest || columns.count == 0 || columns.count > most_columns || chunks > most_chunks ||
        chunks * kChunk * out.shape[2] > most_weights || !copies_slices(tables[0], out.shape[0])) {
        return std::nullopt;
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
        return std::nullopt;
    }
    auto column_plan =
        Kept<AxisMap, ColumnPlan>::of(tables.maps[2], [&] { return ColumnPlan(tables[2], out.shape[2], columns); });
    for (PlannedChannel& channel : channels) {
        channel.gain = std::ldexp(channel.gain, -column_plan->bits);
    }
    return WordPlan{columns, std::move(column_plan), std::move(channels)};
}

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
    const Resampling& how;
    const TapTables& tables;
    const OutputView& out;
    const WordPlan& plan;
    const std::int64_t stride; // from stored row to stored row, in bytes
    const Scratch layout{plan.columns.count, plan.column_plan->chunks};

    // The outputs begin .. end - 1, at most kPanel, from the plane whose row 0 is at `origin`: of its rows, those up to
    // step `final` are there to be looked at ahead.
    void make_panel(std::int64_t c, std::int64_t slice, std::int64_t begin, std::int64_t end, const std::byte* origin,
                    std::int64_t final, std::byte* scratch) const noexcept {
        const PlannedChannel& channel = plan.channels[static_cast<std::size_t>(c)];
        const ColumnPlan& column_plan = *plan.column_plan;
        auto* carried = reinterpret_cast<std::int32_t*>(scratch);
        auto* panel = reinterpret_cast<std::int16_t*>(scratch + layout.carried_bytes());
        sum_rows(*channel.rows, channel, origin, begin, end, final, panel, carried);

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

    void sum_rows(const RowPlan& rows, const PlannedChannel& channel, const std::byte* origin, std::int64_t begin,
                  std::int64_t end, std::int64_t final, std::int16_t* panel, std::int32_t* carried) const noexcept {
        origin += plan.columns.first * static_cast<std::int64_t>(sizeof(Stored));
        RowSum job{};
        job.stride = stride;
        job.columns = plan.columns.count;
        job.tone = &channel.tone;
        job.carried = carried;
        job.carries = rows.shared;
        job.shift = channel.shift;
        const auto kernel = row_kernel<Stored>();
        const std::int64_t last = rows.shared ? end : end - 1;
        for (std::int64_t i = begin; i <= last; ++i) {
            const RowPlan::Step& step = rows.steps[static_cast<std::size_t>(i)];
            const bool ends = !rows.shared || i > begin;
            const bool starts = rows.shared && i < end;
            job.first = origin + step.first * job.stride;
            job.rows = step.rows;
            job.ending = ends ? rows.weights.data() + step.ending : nullptr;
            job.starting = starts ? rows.weights.data() + step.starting : nullptr;
            job.finished = panel + (rows.shared ? i - 1 - begin : i - begin) * layout.pitch;
            const RowPlan::Step& next = rows.steps[static_cast<std::size_t>(std::min(i + 1, final))];
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

} // namespace medplug
