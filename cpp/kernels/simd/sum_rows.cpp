#include "curve.hpp"
#include "kernels.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// A strip of columns, as wide as a register: its sums stay in registers while the rows pass. `whole` strips lie inside
// the row; of the last one only `count` columns do.
template <class Stored, bool plain, bool ends, bool starts, bool whole>
void sum_strip(const RowSum& job, const Curve& curve, std::int64_t x, std::int64_t count) noexcept {
    const auto read = [&](const std::byte* row) noexcept {
        const auto* p = reinterpret_cast<const Stored*>(row);
        return curve.of<plain>(whole ? load(p) : load_some(p, count));
    };
    Sums ending = ends && job.carries ? load_sums(job.carried + x) : no_sums();
    Sums starting = no_sums();
    const std::byte* row = job.first + x * static_cast<std::int64_t>(sizeof(Stored));
    std::int64_t k = 0;
    for (; 2 * k + 1 < job.rows; ++k, row += 2 * job.stride) {
        const RowPair rows = pair(read(row), read(row + job.stride));
        if (ends) {
            add_weighted(ending, rows, job.ending[k]);
        }
        if (starts) {
            add_weighted(starting, rows, job.starting[k]);
        }
    }
    if (2 * k < job.rows) { // an odd one out
        const RowPair rows = pair(read(row), broadcast(0));
        if (ends) {
            add_weighted(ending, rows, job.ending[k]);
        }
        if (starts) {
            add_weighted(starting, rows, job.starting[k]);
        }
    }
    if (ends) {
        store_words(job.finished + x, ending, job.shift);
    }
    if (starts) {
        store_sums(job.carried + x, starting);
    }
}

template <class Stored, bool plain, bool ends, bool starts>
void sum_strips(const RowSum& job) noexcept {
    const Curve curve(*job.tone);
    constexpr auto bytes = static_cast<std::int64_t>(sizeof(Stored));
    std::int64_t x = 0;
    for (; x + kWords <= job.columns; x += kWords) {
        // The rows lie a page apart, which no hardware prefetcher follows; one call ahead is early enough.
        const std::byte* ahead = job.next + x * bytes;
        for (std::int64_t r = 0; r < job.next_rows; ++r, ahead += job.stride) {
            __builtin_prefetch(ahead);
        }
        sum_strip<Stored, plain, ends, starts, true>(job, curve, x, kWords);
    }
    if (x < job.columns) {
        sum_strip<Stored, plain, ends, starts, false>(job, curve, x, job.columns - x);
    }
}

template <class Stored, bool plain>
void sum_rows_as(const RowSum& job) noexcept {
    if (job.ending != nullptr && job.starting != nullptr) {
        sum_strips<Stored, plain, true, true>(job);
    } else if (job.ending != nullptr) {
        sum_strips<Stored, plain, true, false>(job);
    } else {
        sum_strips<Stored, plain, false, true>(job);
    }
}

} // namespace

template <class Stored>
void sum_rows(const RowSum& job) noexcept {
    job.tone->plain ? sum_rows_as<Stored, true>(job) : sum_rows_as<Stored, false>(job);
}

template void sum_rows<std::uint8_t>(const RowSum&) noexcept;
template void sum_rows<std::int8_t>(const RowSum&) noexcept;
template void sum_rows<std::uint16_t>(const RowSum&) noexcept;
template void sum_rows<std::int16_t>(const RowSum&) noexcept;

} // namespace medplug::MEDPLUG_ISA
