// What the inner loops over volumes are asked.
#pragma once

#include <cstddef>
#include <cstdint>

namespace medplug {

struct WordTone;

// Between neighbours along two rows at once, and between the rows, in whole numbers:
//   out[x] = center + sum over i of weights[x][i] * ((1 - share) * word(first[at[x] + i]) + share * word(second[...]))
// `at` and `weights` are padded to a multiple of kPairPad, and so many floats of `out` are written.
struct RowLerp {
    const std::byte* first; // stored rows
    const std::byte* second;
    const WordTone* tone;
    bool clamps; // otherwise words are signed, and the tone only flips
    const std::int32_t* at;
    const std::int32_t* weights; // two in an integer; negated, so that a weight of one fits a word
    const std::int32_t* starts;  // null, or for each 16 outputs the first of 64 columns that hold all their pairs
    const std::int16_t* places;  // and where among these the pairs are, [2 * outputs]
    std::int64_t width;
    std::int16_t share; // of 2^15
    std::int32_t center;
    float* out;
};

// out[i] = clamp(first[i] * first_weight + second[i] * second_weight + bias, low, high)
struct SliceLerp {
    const float* first; // padded by kPairPad
    const float* second;
    float first_weight, second_weight;
    float bias, low, high;
    float* out;
    std::int64_t count;
    bool stream;            // the output is larger than the caches: write past them
    const std::byte* ahead; // what is read soon, at two places: hints, brought in step by step along the way
    std::int64_t ahead_apart;
    std::int64_t ahead_bytes; // at each of the two
};

// Rows of a box: packed[k * pitch + x] = the words of rows[k] | those of rows[k + 1] << 16, at stored column
// first_column + x, for x from begins[k] to ends[k] in groups of kBoxGroup. Columns outside are the nearest ones, or
// `fill` where `fills`; a null row is `fill`, too.
struct BoxRows {
    const std::byte* const* rows; // [count + 1]
    std::int64_t count;
    std::int64_t columns; // of a stored row
    std::int64_t first_column;
    const std::int32_t* begins;
    const std::int32_t* ends;
    const WordTone* tone;
    bool clamps;
    bool fills;
    std::int32_t fill;
    std::int32_t* packed;
    std::int64_t pitch;
    std::ptrdiff_t ahead; // bytes from these rows to those of the next call; a hint
};

// A tile of outputs, each between eight neighbours in the box. Positions are whole numbers of 2^-kPositionBits pixels,
// from the box's first pixel; those within a slice half a unit of the weights ahead.
struct TileLerp {
    const std::int32_t* packed;
    std::int32_t row_pitch, slice_pitch; // less than 2^15
    std::int32_t first[3];               // slice, row, column of the first output
    std::int32_t step[3][3];             // [axis of the box][axis of the output]
    std::int64_t size[3];
    std::int32_t center;
    float gain, bias, low, high;
    float* out;
    std::int64_t out_slice, out_row; // floats

    // Of lerp_in_place alone, which reads the stored volume instead of `packed`, where all of the box lies in it.
    const std::byte* stored;               // the box's first pixel
    std::int64_t row_stride, slice_stride; // bytes
    const WordTone* tone;
    bool clamps;
};

constexpr std::int64_t kBoxGroup = 16;
constexpr std::int64_t kMostBoxSide = 500; // pixels: positions in the box fit 32 bits
constexpr int kPositionBits = 22;
constexpr int kWeightBits = 15;
constexpr std::int64_t kPairPad = 16;

} // namespace medplug
