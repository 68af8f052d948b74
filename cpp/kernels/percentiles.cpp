#include "percentiles.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <type_traits>

namespace medplug {

namespace {

constexpr std::size_t kBins = 65536;
using Histogram = std::vector<std::int64_t>;

// An unsigned number that orders as the value does. Floats: the sign bit flips, and so do all bits of
// negatives.
template <class Stored>
std::uint32_t to_key(Stored value) noexcept {
    if constexpr (std::is_same_v<Stored, float>) {
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
    } else {
        return static_cast<std::uint32_t>(static_cast<std::int32_t>(value) - std::numeric_limits<Stored>::min());
    }
}

template <class Stored>
double to_value(std::uint32_t key) noexcept {
    if constexpr (std::is_same_v<Stored, float>) {
        const std::uint32_t bits = (key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key;
        float value;
        std::memcpy(&value, &bits, sizeof value);
        return static_cast<double>(value);
    } else {
        return static_cast<double>(key) + std::numeric_limits<Stored>::min();
    }
}

// Counts bin_of(value) over all finite values; bins beyond the last are left out. Counts add up to the same
// whatever the threads.
template <class Stored, class BinOf>
Histogram count(const StoredView<Stored>& stored, int threads, const BinOf& bin_of) {
    const std::int64_t rows = stored.channels * stored.shape[0] * stored.shape[1];
    const std::int64_t rows_per_item = std::max<std::int64_t>(1, 65536 / stored.shape[2]);
    const std::int64_t items = (rows + rows_per_item - 1) / rows_per_item;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    std::vector<Histogram> partial(static_cast<std::size_t>(slots), Histogram(kBins));

    ThreadPool::run(items, slots, [&](std::int64_t item, int slot) noexcept {
        Histogram& own = partial[static_cast<std::size_t>(slot)];
        const std::int64_t end = std::min(rows, (item + 1) * rows_per_item);
        for (std::int64_t flat = item * rows_per_item; flat < end; ++flat) {
            const std::int64_t plane = flat / stored.shape[1];
            const std::byte* pixel =
                stored.row(plane / stored.shape[0], plane % stored.shape[0], flat % stored.shape[1]);
            for (std::int64_t x = 0; x < stored.shape[2]; ++x, pixel += stored.strides[2]) {
                const Stored value = load<Stored>(pixel);
                if (std::is_integral_v<Stored> || std::isfinite(static_cast<float>(value))) {
                    const std::size_t bin = bin_of(to_key(value));
                    if (bin < kBins) {
                        ++own[bin];
                    }
                }
            }
        }
    });
    for (std::size_t slot = 1; slot < partial.size(); ++slot) {
        std::transform(partial[0].begin(), partial[0].end(), partial[slot].begin(), partial[0].begin(),
                       std::plus<std::int64_t>());
    }
    return std::move(partial[0]);
}

// The bin that holds the given rank, which is left as the rank inside that bin.
std::uint32_t find_bin(const Histogram& histogram, std::int64_t& rank) noexcept {
    std::uint32_t bin = 0;
    while (rank >= histogram[bin]) {
        rank -= histogram[bin++];
    }
    return bin;
}

} // namespace

template <class Stored>
std::vector<double> percentiles(const StoredView<Stored>& stored, const std::vector<double>& percentages, int threads) {
    constexpr bool wide = std::is_same_v<Stored, float>; // two digits of 16 bits, where integers need one
    const Histogram coarse =
        count(stored, threads, [](std::uint32_t key) -> std::size_t { return wide ? key >> 16 : key; });
    std::int64_t total = 0;
    for (const std::int64_t occurrences : coarse) {
        total += occurrences;
    }
    if (total == 0) {
        return {};
    }
    std::map<std::uint32_t, Histogram> fine; // neighbouring ranks share a bin, so few are made
    const auto value_at = [&](std::int64_t rank) {
        const std::uint32_t high = find_bin(coarse, rank);
        if constexpr (!wide) {
            return to_value<Stored>(high);
        } else {
            auto found = fine.find(high);
            if (found == fine.end()) {
                found = fine.emplace(high, count(stored, threads,
                                                 [high](std::uint32_t key) -> std::size_t {
                                                     return key >> 16 == high ? key & 0xffffu : kBins;
                                                 }))
                            .first;
            }
            return to_value<Stored>(high << 16 | find_bin(found->second, rank));
        }
    };
    std::vector<double> values;
    for (const double percentage : percentages) {
        const double place = percentage / 100.0 * static_cast<double>(total - 1);
        const auto below = static_cast<std::int64_t>(place);
        const double share = place - static_cast<double>(below);
        const double low = value_at(below);
        const double high = share > 0.0 ? value_at(below + 1) : low;
        values.push_back(low + share * (high - low));
    }
    return values;
}

template std::vector<double> percentiles(const StoredView<std::uint8_t>&, const std::vector<double>&, int);
template std::vector<double> percentiles(const StoredView<std::int8_t>&, const std::vector<double>&, int);
template std::vector<double> percentiles(const StoredView<std::uint16_t>&, const std::vector<double>&, int);
template std::vector<double> percentiles(const StoredView<std::int16_t>&, const std::vector<double>&, int);
template std::vector<double> percentiles(const StoredView<float>&, const std::vector<double>&, int);

} // namespace medplug
