// The fast quality's first step: each two by two stored pixels become the one pixel of an image half as large, whose
// rows are packed as `pack_rows` packs them.
#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// Stored words behind which there are no more: the last one stands for those that a pair lacks.
template <class Stored>
Words load_tail(const Stored* from, std::int64_t count) noexcept {
    Stored items[kWords];
    for (std::int64_t i = 0; i < kWords; ++i) {
        std::memcpy(items + i, from + (i < count ? i : count - 1), sizeof(Stored));
    }
    return load(items);
}

template <class Stored, bool plain>
void pack_halves_as(const RowPack& job) noexcept {
    const Curve curve(*job.tone);
    const Words ones = broadcast(1);
    const Ints rounding = Ints{} + ((1 << job.shift) >> 1);
    const std::int64_t ahead = 12 * job.stride;
    const std::byte* row = job.rows;
    std::int32_t* packed = job.packed;
    for (std::int64_t k = 0; k < job.pairs; ++k, row += 4 * job.stride, packed += job.pitch) {
        const bool lone_upper = job.lone && job.missing_lower, lone_lower = job.lone && k == job.pairs - 1;
        const std::byte* upper[2] = {row, lone_upper ? row : row + job.stride};
        const std::byte* lower[2] = {row + 2 * job.stride, lone_lower ? row + 2 * job.stride : row + 3 * job.stride};
        for (std::int64_t x = 0; x < job.columns; x += kWords) {
            const std::int64_t left = job.columns - x, bytes = x * static_cast<std::int64_t>(sizeof(Stored));
            const auto halved = [&](const std::byte* const* rows) noexcept {
                Ints sum = rounding;
                for (int i = 0; i < 2; ++i) {
                    const auto* from = reinterpret_cast<const Stored*>(rows[i] + bytes);
                    sum = multiply_add(sum, curve.of<plain>(left >= kWords ? load(from) : load_tail(from, left)), ones);
                }
                return sum >> job.shift;
            };
            const Ints above = job.missing_upper ? Ints{} : halved(upper);
            const Ints below = job.missing_lower ? Ints{} : halved(lower);
            store(packed + x / 2, above | below << 16);
            for (int i = 0; i < 4; ++i) {
                __builtin_prefetch(row + ahead + i * job.stride + bytes);
            }
        }
    }
}

} // namespace

template <class Stored>
void pack_halves(const RowPack& job) noexcept {
    job.tone->plain ? pack_halves_as<Stored, true>(job) : pack_halves_as<Stored, false>(job);
}

template void pack_halves<std::uint8_t>(const RowPack&) noexcept;
template void pack_halves<std::int8_t>(const RowPack&) noexcept;
template void pack_halves<std::uint16_t>(const RowPack&) noexcept;
template void pack_halves<std::int16_t>(const RowPack&) noexcept;

} // namespace medplug::MEDPLUG_ISA
