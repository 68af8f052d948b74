// The inner loops that exist once for each instruction set, as a table of pointers.
#pragma once

#include "volume_jobs.hpp"

#include <cstddef>
#include <cstdint>

namespace medplug {

// A clamped line over stored integers, in 16-bit words: word(x) = clamp(((x ^ flip) -sat base) << shift, low, high).
// The words are exact but at the clamp's two ends, which may lie up to 2^-14 of the window from one.
struct WordTone {
    std::int16_t flip; // brings signed integers into the order of unsigned ones
    std::uint16_t base;
    std::uint16_t cap;
    int shift;
    std::int16_t low;
    std::int16_t high;
    bool plain; // low is 0 and high is cap: the last three steps do nothing

    // What the kernels' integers mean: value = word * gain + bias.
    double gain;
    double bias;
};

// Some consecutive stored rows, by pairs, summed with weights. `ending` finishes the output row that `carried` holds
// a part of, `starting` begins the next one: a stored pixel between the two passes the tone once for both.
struct RowSum {
    const std::byte* first; // stored row, at the first column that is read
    std::int64_t stride;    // bytes from row to row
    std::int64_t rows;
    std::int64_t columns;
    const WordTone* tone;
    const std::int32_t* ending;   // weights, two rows in one integer; null: no row ends here
    const std::int32_t* starting; // null: no row starts here
    bool carries;                 // whether the ending row has sums in `carried`
    std::int32_t* carried;        // [columns], padded to a multiple of kColumnPad
    std::int16_t* finished;       // likewise, as words; written where `ending`
    int shift;                    // of the sums, halves up, to words
    const std::byte* next;        // where the next call will read; a hint, may be null
    std::int64_t next_rows;
};

// Weighted sums along the columns of rows of words:
//   out[row][x] = bias + gain * sum over k of weights[x][k] * panel[row][first[x] + k]
struct ColumnSum {
    const std::int16_t* panel;
    std::int64_t pitch;          // from row to row of the panel; whole chunks are read
    const std::int16_t* weights; // [groups, chunks, kColumnGroup, kChunk]
    const std::int32_t* first;   // padded to whole groups
    std::int64_t chunks;
    std::int64_t width; // of the output
    float gain;
    float bias;
    float* out;
    std::int64_t out_stride; // floats
    std::int64_t rows;
};

// Stored rows as words, two side by side: packed[x] = upper[x] | lower[x] << 16, for `pairs` of rows, one below the
// other. `missing_upper` and `missing_lower` leave a row of the only pair out: it is zero.
struct RowPack {
    const std::byte* rows;
    std::int64_t stride;
    std::int64_t pairs;
    std::int64_t advance; // rows from pair to pair: 2, or 1 where each row is the upper of one and the lower of another
    std::int64_t columns;
    const std::int32_t* begins; // of each pair, the columns that are wanted: from a multiple of kColumnPad on;
    const std::int32_t* ends;   // null: all
    bool missing_upper, missing_lower;
    const WordTone* tone;
    std::int32_t* packed; // up to kColumnPad - 1 more than `columns` are written
    std::int64_t pitch;
};

// Five weights of a smoothing, mirrored about the centre, as whole numbers whose sum is 2^kSmoothingBits.
struct Smoothing {
    std::int16_t centre, beside, beyond;
};

// The rows of an image half as large, smoothed and packed two by two, advancing by one: rows 2 to `count` - 4 and
// columns 2 to `columns` - 3, for which all that they are made of is there; what else is written means nothing.
//   packed(pixel) = 2^(16 - means - shift) * smoothed mean of two by two words
struct HalfPack {
    const std::byte* rows; // of two stored ones each
    std::int64_t stride;
    std::int64_t count, columns; // of the half
    const std::int32_t* begins;  // of each row, the columns that are wanted: from a multiple of kColumnPad / 2 on
    const std::int32_t* ends;
    const WordTone* tone;
    Smoothing down, across;
    bool means;           // of two rows' words, whose sum might not be a word
    int shift;            // of a row's sums, which leaves 14 bits
    std::int32_t* packed; // up to kColumnPad - 1 more than `columns` are written
    std::int64_t pitch;   // of what follows, too
    std::int16_t* words;  // scratch: from -4 to 2 * columns + 2 * kColumnPad
    std::int32_t* sums;   // scratch: five rows
};

// The weights of a window's pixels along one axis, see Triangle: where its pixels lie, two in an integer, and what
// these words mean.
struct TriangleWeights {
    const std::int32_t* pixels;
    float slope; // units of a weight from pixel to pixel
    std::int32_t height, lead;
    std::int16_t cut; // not 0: 2^15 times what weights are then made smaller by, rounded
};

constexpr double kFewPixels = 5.5; // a support up to which no weights are cut

// One stored axis of a tile; positions count from the tile's own first pixel.
struct TileAxis {
    double position; // of the first output
    double down;     // from row to row of outputs
    float step;      // from output to output
    float support;
    TriangleWeights weights;
    float low, high;    // where `edges`: positions beyond are clamped
    std::int32_t first; // the stored pixel that the tile's first one is; negative where the tile reaches beyond
    std::int32_t last;  // of the image
};

// A tile of outputs under any map of the plane: for each the triangle's weighted mean around its own position, from
// packed rows.
struct TileJob {
    const std::int32_t* packed;
    std::int64_t pitch; // from pair to pair of rows
    TileAxis rows, columns;
    std::int64_t width, height;   // outputs
    int pairs;                    // of rows that a window may touch
    int taps;                     // columns, likewise
    bool edges;                   // the tile reaches beyond the image, where pixels weigh nothing
    bool fills;                   // what is outside is the background, instead of left out of the mean
    float gain, bias, background; // value = mean * gain + bias, and background * the share outside
    float* out;
    std::int64_t out_stride; // floats
};

constexpr int kMostPairs = 34; // a support of up to 32 pixels
constexpr std::int64_t kColumnPad = 32;
constexpr std::int64_t kPanel = 8;        // rows whose columns are summed together
constexpr std::int64_t kColumnGroup = 16; // outputs
constexpr std::int64_t kChunk = 8;        // words of a window: 128 bits
constexpr int kSmoothingBits = 13;

struct Kernels {
    void (*sum_rows_uint8)(const RowSum&) noexcept;
    void (*sum_rows_int8)(const RowSum&) noexcept;
    void (*sum_rows_uint16)(const RowSum&) noexcept;
    void (*sum_rows_int16)(const RowSum&) noexcept;
    void (*pack_rows_uint8)(const RowPack&) noexcept;
    void (*pack_rows_int8)(const RowPack&) noexcept;
    void (*pack_rows_uint16)(const RowPack&) noexcept;
    void (*pack_rows_int16)(const RowPack&) noexcept;
    void (*smooth_halves_uint8)(const HalfPack&) noexcept;
    void (*smooth_halves_int8)(const HalfPack&) noexcept;
    void (*smooth_halves_uint16)(const HalfPack&) noexcept;
    void (*smooth_halves_int16)(const HalfPack&) noexcept;
    void (*make_tile)(const TileJob&) noexcept;
    void (*make_linear_tile)(const TileJob&) noexcept; // where both supports are 1, from pairs that advance by 1
    void (*sum_columns)(const ColumnSum&) noexcept;
    void (*lerp_rows_uint8)(const RowLerp&) noexcept;
    void (*lerp_rows_int8)(const RowLerp&) noexcept;
    void (*lerp_rows_uint16)(const RowLerp&) noexcept;
    void (*lerp_rows_int16)(const RowLerp&) noexcept;
    void (*lerp_slices)(const SliceLerp&) noexcept;
    void (*pack_box_uint8)(const BoxRows&) noexcept;
    void (*pack_box_int8)(const BoxRows&) noexcept;
    void (*pack_box_uint16)(const BoxRows&) noexcept;
    void (*pack_box_int16)(const BoxRows&) noexcept;
    void (*lerp_tile)(const TileLerp&) noexcept;
    void (*lerp_in_place_uint16)(const TileLerp&) noexcept; // the same bits without a box, where `gathers_well`
    void (*lerp_in_place_int16)(const TileLerp&) noexcept;
};

// Takes what has that name, or the best for null: "avx512-gather", "avx512", "avx2" or "plain". False, and nothing is
// changed, where there is none such here. Called once, when the module is loaded.
bool choose_kernels(const char* name) noexcept;

// The name of what was chosen.
const char* instruction_set() noexcept;

// What was chosen.
const Kernels& kernels() noexcept;

// Whether it gathers instead of loading one by one. That pays on Intel's processors from Sapphire Rapids on; before,
// the mitigation of gather data sampling slows it, and AMD's are slow.
bool gathers_well() noexcept;

} // namespace medplug
