#pragma once

#include "resample.hpp"
#include "word_tone.hpp"

#include <vector>

namespace medplug {

// A channel of the output where the whole pass runs on 16-bit words: which stored channel it is, its tone, and what the
// weighted mean of its words means: value = mean * gain + bias, and outside the image `background` more for its share.
struct WordChannel {
    std::int64_t stored;
    WordTone tone;
    bool after_is_line; // then gain, bias and background hold it already
    double gain, bias, background;
};

// One for each output channel; none where words do not do: floats, wide windows, curves that are no lines, mixed
// channels, and what no float holds afterwards.
template <class Stored>
std::vector<WordChannel> word_channels(const StoredView<Stored>& stored, const Resampling& how, std::int64_t channels);

// The stored channel that each output channel is, where the matrix does nothing but pick; otherwise none.
std::vector<std::int64_t> picked_channels(const double* matrix, std::int64_t outputs, std::int64_t stored);

// Whether each of `count` output slices is one stored slice as it is.
bool copies_slices(const TapTable& slices, std::int64_t count);

// Applies `after` where it could not be merged into the line.
void apply_after(const WordChannel& channel, const Tone& after, float* row, std::int64_t count) noexcept;

} // namespace medplug
