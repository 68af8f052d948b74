#include "row_plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

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
    const auto place = [&](std::int64_t i) { return reversed ? outputs - 1 - i : i; };
    if (!shared) {
        for (std::int64_t i = 0; i < outputs; ++i) {
            const Window& window = taps[place(i)];
            const auto own = rounded(window, taps.weights_of(place(i)));
            steps.push_back({window.first, window.count, append(own, window, window.first, window.count), -1});
        }
        return;
    }
    std::vector<std::int16_t> ending, starting;
    Window ends{}, starts{};
    for (std::int64_t i = 0; i <= outputs; ++i) {
        ending = std::move(starting);
        ends = starts;
        std::int64_t first = ends.first + ends.count, stop = first;
        if (i < outputs) {
            starts = taps[place(i)];
            starting = rounded(starts, taps.weights_of(place(i)));
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
        steps.push_back({first, rows, i > 0 ? append(ending, ends, first, rows) : -1,
                         i < outputs ? append(starting, starts, first, rows) : -1});
    }
}

// Rounded down, and the largest remainders up: the sum stays exact, so a flat image stays flat.
std::vector<std::int16_t> RowPlan::rounded(const Window& window, const double* exact) const {
    const auto count = static_cast<std::size_t>(window.count);
    std::vector<std::int16_t> whole(count);
    std::vector<double> rest(count);
    std::vector<std::size_t> order(count);
    auto missing = static_cast<std::int64_t>(std::nearbyint(std::ldexp(window.inside, bits)));
    for (std::size_t k = 0; k < count; ++k) {
        const double scaled = std::ldexp(exact[k], bits);
        whole[k] = static_cast<std::int16_t>(scaled);
        rest[k] = scaled - static_cast<double>(whole[k]);
        missing -= whole[k];
    }
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rest[a] > rest[b]; });
    for (std::size_t k = 0; k < count && missing > 0; ++k, --missing) {
        ++whole[order[k]];
    }
    return whole;
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

ColumnPlan::ColumnPlan(const TapTable& taps, std::int64_t outputs, std::int64_t first_column) {
    for (std::int64_t x = 0; x < outputs; ++x) {
        first.push_back(taps[x].count == 0 ? 0 : static_cast<std::int32_t>(taps[x].first - first_column));
        count.push_back(static_cast<std::int32_t>(taps[x].count));
    }
    weights.reserve(taps.weights.size());
    for (const double weight : taps.weights) {
        weights.push_back(static_cast<float>(weight));
    }
}

} // namespace medplug
