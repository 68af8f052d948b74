#pragma once

#include "simd/kernels.hpp"
#include "taps.hpp"

namespace medplug {

// How the rows of an output are made from stored rows by whole numbers: each weight is a multiple of 2^-bits, and the
// weights of an output sum to exactly what the window's do. Outputs are counted in the order in which they lie in
// the image; `reversed` where that is the output's own order turned round.
struct RowPlan {
    struct Step { // some stored rows, by pairs; the weights at `ending` and `starting` in `weights`
        std::int64_t first;
        std::int64_t rows;
        std::int64_t ending;
        std::int64_t starting;
    };

    // `most` is the largest word that the tone gives; it bounds the bits so that no sum leaves an int32.
    RowPlan(const TapTable& taps, std::int64_t outputs, std::int64_t most);

    std::size_t items() const noexcept { return steps.size() + weights.size(); }

    int bits = 0;
    bool reversed = false;
    // Where every stored row belongs to at most two outputs, step i ends output i - 1 and starts output i; otherwise
    // step i makes output i by itself.
    bool shared = false;
    std::vector<Step> steps;
    std::vector<std::int32_t> weights;

  private:
    std::int64_t append(const std::vector<std::int16_t>& of, const Window& window, std::int64_t first,
                        std::int64_t rows);
};

// The weights along the columns, as the kernel takes them: whole chunks for each output, in groups of kColumnGroup
// outputs; what a window lacks weighs nothing.
struct ColumnPlan {
    ColumnPlan(const TapTable& table, std::int64_t outputs, const Window& columns);

    static std::int64_t chunks_of(const TapTable& table) noexcept;

    std::size_t items() const noexcept { return first.size() + weights.size(); }

    int bits = 0;
    std::int64_t chunks = 0;
    std::vector<std::int32_t> first;   // from the first of `columns`
    std::vector<std::int16_t> weights; // [groups, chunks, kColumnGroup, kChunk]
};

} // namespace medplug
