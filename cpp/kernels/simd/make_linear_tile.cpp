// Bilinear sampling: the four pixels around a position are two neighbours of one packed row, so a single load of 64
// bits brings them.
#include "fetch.hpp"
#include "tile_lanes.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

// The pixel at or before each position, which is not negative.
template <bool edges>
inline Begins pixel_before(const TileAxis& axis, float start, Floats outputs) noexcept {
    const Floats here = positions<edges>(axis, start, outputs);
    const Ints first = truncated(here);
    return {first, here - floats(first)};
}

template <bool edges, bool gathers>
void make(const TileJob& job) noexcept {
    const TileAxis row_axis = job.rows, column_axis = job.columns; // copies: as far as the compiler knows, what is
    const std::int32_t* packed = job.packed;                       // written to `out` could be these
    constexpr std::int32_t one = 32767;
    const Words pitch = words(Ints{} + static_cast<std::int32_t>(job.pitch)); // below 2^15, as row numbers are
    constexpr float scale = one;
    const float gain = job.gain / scale, bias = job.bias;
    const std::int64_t width = job.width, height = job.height, stride = job.out_stride;
    const Floats last = Floats{} + static_cast<float>(width - 1); // no lane beyond what the tile holds
    float* out = job.out;
    for (std::int64_t row = 0; row < height; ++row, out += stride) {
        const float down = start_of(row_axis, row), across = start_of(column_axis, row);
        Floats outputs = kLaneIndex;
        for (std::int64_t x = 0; x < width; x += kLanes, outputs += kLanes) {
            const Begins rows = pixel_before<edges>(row_axis, down, lesser(outputs, last));
            const Begins columns = pixel_before<edges>(column_axis, across, lesser(outputs, last));
            const Ints lower = nearest(rows.centre * scale);
            const Words weights = words((one - lower) | lower << 16);
            const Columns pixels = fetch<gathers>(packed, multiply_add(columns.first, words(rows.first), pitch));
            const Floats left = floats(multiply_add(Ints{}, pixels.here, weights));
            const Floats right = floats(multiply_add(Ints{}, pixels.next, weights));
            const Floats mean = left * (1.0F - columns.centre) + right * columns.centre;
            store_some(out + x, mean * gain + bias, width - x);
        }
    }
}

} // namespace

void make_linear_tile(const TileJob& job) noexcept {
    if (gathers_well()) {
        job.edges ? make<true, true>(job) : make<false, true>(job);
    } else {
        job.edges ? make<true, false>(job) : make<false, false>(job);
    }
}

} // namespace medplug::MEDPLUG_ISA
