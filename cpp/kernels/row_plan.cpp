#include "row_plan.hpp"

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
    double heaviest = 0.0;
    for (const double weight : taps.weights) {
        heaviest = std::max(heaviest, weight);
    }
    bits = static_cast<int>(std::min(std::floor(std::log2(32767.0 / std::max(heaviest, 1e-3))),
                                     std::floor(std::log2(2147483647.0 / static_cast<double>(most)))));
    reversed = taps[0].first > taps[outputs - 1].first;
    shared = at_most_two_share(taps, outputs, reversed);
    steps.reserve(static_cast<std::size_t>(outputs) + 1);
    weights.reserve(taps.weights.size() + 2 * static_cast<std::size_t>(outputs));
    const auto place = [&](std::int64_t i) { return reversed ? outputs - 1 - i : i; };
    if (!shared) {
        Rounded own;
        for (std::int64_t i = 0; i < outputs; ++i) {
            const Window& window = taps[place(i)];
            round(window, taps.weights_of(place(i)), own);
            steps.push_back({window.first, window.count, append(own.whole, window, window.first, window.count), -1});
        }
        return;
    }
    Rounded ending, starting;
    Window ends{}, starts{};
    for (std::int64_t i = 0; i <= outputs; ++i) {
        std::swap(ending, starting);
        ends = starts;
        std::int64_t first = ends.first + ends.count, stop = first;
        if (i < outputs) {
            starts = taps[place(i)];
            round(starts, taps.weights_of(place(i)), starting);
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
        steps.push_back({first, rows, i > 0 ? append(ending.whole, ends, first, rows) : -1,
                         i < outputs ? append(starting.whole, starts, first, rows) : -1});
    }
}

// Rounded down, and the largest remainders up, of equal ones the first: the sum stays exact, so a flat image stays
// flat.
void RowPlan::round(const Window& window, const double* exact, Rounded& rounded) const {
    const auto count = static_cast<std::size_t>(window.count);
    rounded.whole.resize(count);
    rounded.rests.resize(count);
    auto missing = static_cast<std::int64_t>(std::nearbyint(std::ldexp(window.inside, bits)));
    const double scale = std::ldexp(1.0, bits);
    for (std::size_t k = 0; k < count; ++k) {
        const double scaled = exact[k] * scale;
        rounded.whole[k] = static_cast<std::int16_t>(scaled);
        rounded.rests[k] = {scaled - static_cast<double>(rounded.whole[k]), k};
        missing -= rounded.whole[k];
    }
    const auto up = static_cast<std::ptrdiff_t>(std::clamp<std::int64_t>(missing, 0, window.count));
    std::partial_sort(
        rounded.rests.begin(), rounded.rests.begin() + up, rounded.rests.end(),
        [](const Rest& a, const Rest& b) { return a.value > b.value || (a.value == b.value && a.place < b.place); });
    for (std::ptrdiff_t k = 0; k < up; ++k) {
        ++rounded.whole[rounded.rests[static_cast<std::size_t>(k)].place];
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

std::int64_t ColumnPlan::taps_of(const TapTable& table) noexcept {
    std::int64_t most = 0;
    for (const Window& window : table.windows) {
        most = std::max(most, window.count);
    }
    return most;
}

ColumnPlan::ColumnPlan(const TapTable& table, std::int64_t outputs, const Window& columns) : taps(taps_of(table)) {
    first.reserve(static_cast<std::size_t>(outputs));
    weights.resize(static_cast<std::size_t>(outputs * taps));
    for (std::int64_t x = 0; x < outputs; ++x) {
        const Window& window = table[x];
        const std::int64_t wanted = window.count == 0 ? 0 : window.first - columns.first;
        const std::int64_t from = std::min(wanted, columns.count - taps); // so that nothing beyond is read
        first.push_back(static_cast<std::int32_t>(from));
        float* own = weights.data() + x * taps + (wanted - from);
        for (std::int64_t k = 0; k < window.count; ++k) {
            own[k] = static_cast<float>(table.weights_of(x)[k]);
        }
    }
}

} // namespace medplug
