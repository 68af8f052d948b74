#include "curved_values.hpp"

#include "whole_rows.hpp"
#include "word_channels.hpp"

#include <cmath>
#include <limits>

namespace medplug {

namespace {

constexpr double kMostWord = 32767.0;

// What of a tone is looked up, the range of that, and the tone of the words it becomes.
struct LookUp {
    Tone curve;
    double low, step; // value = word * step + low
    Tone rest;
};

// The entries of a table are kept as they are, where they are whole numbers that words hold. The line or the curve that
// follows is not looked up with it, so a table as DICOM has it loses nothing.
std::optional<LookUp> look_up_table(const Tone& tone) noexcept {
    const float *begin = tone.table, *end = tone.table + tone.table_size;
    const auto [least, most] = std::minmax_element(begin, end);
    const double low = *least;
    if (*most - low > kMostWord || std::any_of(begin, end, [](float entry) { return entry != std::floor(entry); })) {
        return std::nullopt;
    }
    LookUp result{{}, low, 1.0, tone};
    result.curve.table = tone.table;
    result.curve.table_size = tone.table_size;
    result.curve.first = tone.first;
    result.rest.table = nullptr;
    result.rest.intercept += tone.slope * low;
    // No word is larger than the largest entry's: so said, a line that nothing clamps is one of words too.
    const double first = result.rest.intercept, last = tone.slope * (*most - low) + result.rest.intercept;
    if (std::max(first, last) >= tone.low && std::min(first, last) <= tone.high) {
        result.rest.low = std::max(tone.low, std::min(first, last));
        result.rest.high = std::min(tone.high, std::max(first, last));
    }
    return result;
}

// Powers and sigmoids, and lines beside them, are spread over all words. They keep the order of the stored values or
// turn it round, so those at the ends have the range. What nothing clamps may have pixels that use little of it, unless
// they are bytes.
template <class Stored>
std::optional<LookUp> look_up_curve(const Tone& tone) noexcept {
    if (sizeof(Stored) > 1 && !tone.sigmoid && !(std::isfinite(tone.low) && std::isfinite(tone.high))) {
        return std::nullopt;
    }
    const double first = tone(static_cast<double>(std::numeric_limits<Stored>::min()));
    const double last = tone(static_cast<double>(std::numeric_limits<Stored>::max()));
    const double width = std::abs(last - first);
    if (!std::isfinite(width)) {
        return std::nullopt;
    }
    LookUp result{tone, std::min(first, last), width / kMostWord, {}};
    result.rest.low = 0.0;
    result.rest.high = kMostWord;
    result.rest.scale = result.step;
    result.rest.offset = result.low;
    return result;
}

// How many stored pixels the output reads, were each inside the image: those that its pixels cover, and of the linear
// filter eight each at most.
double footprint(const Resampling& how, const Shape& out) noexcept {
    const double outputs = static_cast<double>(out[0]) * static_cast<double>(out[1]) * static_cast<double>(out[2]);
    const double size = determinant(how.to_stored.linear);
    return (how.filter == Filter::linear ? std::min(std::abs(size), 8.0) : std::abs(size)) * outputs;
}

// Whether such a call runs in words at all: volumes do where the filter reads two pixels along each axis.
bool has_word_path(const Resampling& how, const Shape& stored, const Shape& out) noexcept {
    const std::array<Axis, 3> axes = how.axes(stored);
    const bool shrinks = std::any_of(axes.begin(), axes.end(), [](const Axis& axis) { return axis.support > 1.0; });
    return how.filter != Filter::nearest && !(shrinks && (stored[0] > 1 || out[0] > 1));
}

// Curves are worked out for the values that occur, once each.
template <class Stored>
void look_up(const StoredView<Stored>& stored, std::int64_t channel, const LookUp& how, std::uint16_t* to) {
    constexpr std::int64_t least = std::numeric_limits<Stored>::min();
    constexpr std::uint16_t unknown = 0xffff;
    std::vector<std::uint16_t> known(std::size_t{1} << (8 * sizeof(Stored)), unknown);
    const double scale = how.step > 1e-290 ? 1.0 / how.step : 0.0;
    const auto& [slices, rows, columns] = stored.shape;
    for (std::int64_t s = 0; s < slices; ++s) {
        for (std::int64_t r = 0; r < rows; ++r, to += columns) {
            const std::byte* from = stored.row(channel, s, r);
            for (std::int64_t x = 0; x < columns; ++x) {
                const auto value = static_cast<std::int64_t>(load<Stored>(from + x * stored.strides[2]));
                std::uint16_t& word = known[static_cast<std::size_t>(value - least)];
                if (word == unknown) {
                    word = static_cast<std::uint16_t>(
                        std::nearbyint((how.curve(static_cast<double>(value)) - how.low) * scale));
                }
                to[x] = word;
            }
        }
    }
}

} // namespace

template <class Stored>
std::optional<WordImage> curved_values(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out) {
    const auto& [slices, rows, columns] = stored.shape;
    const auto picked = picked_channels(how.matrix, out.channels, stored.channels);
    const double pixels = static_cast<double>(slices) * static_cast<double>(rows) * static_cast<double>(columns);
    const auto is_plain = [](const Tone& tone) { return tone.is_clamped_line(); };
    const auto is_line = [](const Tone& tone) { return tone.is_line(); }; // others can magnify what words round
    if (picked.empty() || std::all_of(how.before, how.before + out.channels, is_plain) ||
        !std::all_of(how.after, how.after + out.channels, is_line) || !has_word_path(how, stored.shape, out.shape) ||
        !fits_memory(stored, out.channels) || 4.0 * footprint(how, out.shape) < pixels) {
        return std::nullopt;
    }
    std::vector<LookUp> look_ups;
    for (std::int64_t c = 0; c < out.channels; ++c) {
        const Tone& tone = how.before[c];
        const auto one = tone.table != nullptr ? look_up_table(tone) : look_up_curve<Stored>(tone);
        if (!one) {
            return std::nullopt;
        }
        look_ups.push_back(*one);
    }
    WordImage curved(out.channels, stored.shape);
    for (std::int64_t c = 0; c < out.channels; ++c) {
        const auto i = static_cast<std::size_t>(c);
        look_up(stored, picked[i], look_ups[i], curved.plane(c));
        curved.before.push_back(look_ups[i].rest);
    }
    return curved;
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                                    \
    template std::optional<WordImage> curved_values(const StoredView<Stored>&, const Resampling&, const OutputView&);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)

} // namespace medplug
