#include "curve.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

template <class Stored, bool plain>
void pack_rows_as(const RowPack& job) noexcept {
    const Curve curve(*job.tone);
    const Words nothing = broadcast(0);
    const std::byte* row = job.rows;
    std::int32_t* packed = job.packed;
    for (std::int64_t k = 0; k < job.pairs; ++k, row += job.advance * job.stride, packed += job.pitch) {
        const auto* upper = reinterpret_cast<const Stored*>(row);
        const auto* lower = reinterpret_cast<const Stored*>(row + job.stride);
        const std::int64_t end = job.ends == nullptr ? job.columns : job.ends[k];
        for (std::int64_t x = job.begins == nullptr ? 0 : job.begins[k]; x < end; x += kWords) {
            const std::int64_t left = job.columns - x;
            const auto read = [&](const Stored* from) noexcept {
                return curve.of<plain>(left >= kWords ? load(from + x) : load_some(from + x, left));
            };
            const Words above = job.missing_upper ? nothing : read(upper);
            const Words below = job.missing_lower ? nothing : read(lower);
            store_pairs(packed + x, pair(above, below));
            // Rows lie pages apart, which no hardware prefetcher follows; three pairs ahead took 0.4 ms off 2.5.
            __builtin_prefetch(row + 6 * job.stride + x * static_cast<std::int64_t>(sizeof(Stored)));
            __builtin_prefetch(row + 7 * job.stride + x * static_cast<std::int64_t>(sizeof(Stored)));
        }
    }
}

// Rows no wider than a register, each the lower of one pair and the upper of the next: every one is read once.
template <class Stored, bool plain>
void pack_narrow_rows_as(const RowPack& job) noexcept {
    const Curve curve(*job.tone);
    const auto read = [&](const std::byte* row) noexcept {
        const auto* from = reinterpret_cast<const Stored*>(row);
        return curve.of<plain>(job.columns == kWords ? load(from) : load_some(from, job.columns));
    };
    const std::byte* row = job.rows;
    std::int32_t* packed = job.packed;
    Words above = read(row);
    for (std::int64_t k = 0; k < job.pairs; ++k, packed += job.pitch) {
        row += job.stride;
        const Words below = job.missing_lower ? broadcast(0) : read(row);
        store_pairs(packed, pair(above, below));
        above = below;
    }
}

} // namespace

template <class Stored>
void pack_rows(const RowPack& job) noexcept {
    if (job.advance == 1 && job.columns <= kWords) {
        job.tone->plain ? pack_narrow_rows_as<Stored, true>(job) : pack_narrow_rows_as<Stored, false>(job);
        return;
    }
    job.tone->plain ? pack_rows_as<Stored, true>(job) : pack_rows_as<Stored, false>(job);
}

template void pack_rows<std::uint8_t>(const RowPack&) noexcept;
template void pack_rows<std::int8_t>(const RowPack&) noexcept;
template void pack_rows<std::uint16_t>(const RowPack&) noexcept;
template void pack_rows<std::int16_t>(const RowPack&) noexcept;

} // namespace medplug::MEDPLUG_ISA
