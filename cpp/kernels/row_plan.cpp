#include "row_plan.hpp"

#include "whole_weights.hpp"

#include <algorithm>
#include <cmath>

namespace medplug {

namespace {

bool at_most_two_share(const TapTable& taps, std::int64_t outputs, bool reversed) {
    const auto window = [&](std::int64_t i) -> const Window& { return taps[reversed ? outputs - 1 - i : i]; };
    for (std::int64_t i = 0; i < outputs; ++i) {
        const Window& here = window(i);
        const std::int64_t stop = here.first + here.count;
        if (here.count == 0 ||
            (i + 1 < outputs && (window(i + 1).first < here.first || window(i + 1).first + window(i + 1).count < stop ||
                                 window(i + 1).first > stop)) ||
            (i + 2 < outputs && window(i + 2).first < stop)) {
            return false;
        }
    }
    return true;
}

} // namespace

RowPlan::RowPlan(const TapTable& taps, std::int64_t outputs, std::int64_t most) {
    bits = weight_bits(taps, most);
    reversed = taps[0].first > taps[outputs - 1].first;
    shared = at_most_two_share(taps, outputs, reversed);
    steps.reserve(static_cast<std::size_t>(outputs) + 1);
    weights.reserve(taps.weights.size() + 2 * static_cast<std::size_t>(outputs));
    const auto place = [&](std::int64_t i) { return reversed ? outputs - 1 - i : i; };
    if (!shared) {
        WholeWeights own;
        for (std::int64_t i = 0; i < outputs; ++i) {
            const Window& window = taps[place(i)];
            own.round(window, taps.weights_of(place(i)), bits);
            steps.push_back({window.first, window.count, append(own.values, window, window.first, window.count), -1});
        }
        return;
    }
    WholeWeights ending, starting;
    Window ends{}, starts{};
    for (std::int64_t i = 0; i <= outputs; ++i) {
        std::swap(ending, starting);
        ends = starts;
        std::int64_t first = ends.first + ends.count, stop = first;
        if (i < outputs) {
            starts = taps[place(i)];
            starting.round(starts, taps.weights_of(place(i)), bits);
            first = starts.first;
        }
        if (i + 1 < outputs) {
            stop = taps[place(i + 1)].first;
        } else if (i < outputs) { // the last but one output may reach beyond where the last one starts
            stop = std::max(ends.first + ends.count, first);
        }
        if (i == outputs) {
            first = steps.back().first + steps.back().rows;
        }
        const std::int64_t rows = stop - first;
        steps.push_back({first, rows, i > 0 ? append(ending.values, ends, first, rows) : -1,
                         i < outputs ? append(starting.values, starts, first, rows) : -1});
    }
}

// The weights of the stored rows `first` .. `first + rows - 1`, two in an integer; zero outside the window.
std::int64_t RowPlan::append(const std::vector<std::int16_t>& of, const Window& window, std::int64_t first,
                             std::int64_t rows) {
    const auto begin = static_cast<std::int64_t>(weights.size());
    const auto weight = [&](std::int64_t row) {
        const std::int64_t k = row - window.first;
        const bool inside = row < first + rows && k >= 0 && k < window.count;
        return static_cast<std::uint32_t>(inside ? of[static_cast<std::size_t>(k)] : 0) & 0xffffu;
    };
    for (std::int64_t row = first; row < first + rows; row += 2) {
        weights.push_back(static_cast<std::int32_t>(weight(row) | weight(row + 1) << 16));
    }
    return begin;
}

std::int64_t ColumnPlan::chunks_of(const TapTable& table) noexcept {
    std::int64_t most = 1;
    for (const Window& window : table.windows) {
        most = std::max(most, window.count);
    }
    return (most + kChunk - 1) / kChunk;
}

ColumnPlan::ColumnPlan(const TapTable& table, std::int64_t outputs, const Window& columns)
    : bits(weight_bits(table, 32767)), chunks(chunks_of(table)) {
    const std::int64_t groups = (outputs + kColumnGroup - 1) / kColumnGroup;
    first.resize(static_cast<std::size_t>(groups * kColumnGroup));
    weights.resize(static_cast<std::size_t>(groups * chunks * kColumnGroup * kChunk));
    WholeWeights own;
    for (std::int64_t x = 0; x < outputs; ++x) {
        const Window& window = table[x];
        if (window.count == 0) {
            continue;
        }
        first[static_cast<std::size_t>(x)] = static_cast<std::int32_t>(window.first - columns.first);
        own.round(window, table.weights_of(x), bits);
        for (std::int64_t k = 0; k < window.count; ++k) {
            const std::int64_t row = (x / kColumnGroup * chunks + k / kChunk) * kColumnGroup + x % kColumnGroup;
            weights[static_cast<std::size_t>(row * kChunk + k % kChunk)] = own.values[static_cast<std::size_t>(k)];
        }
    }
}

} // namespace medplug
