// Tiles of outputs under any map of the plane: the stored pixels beneath one pass the tone once and are packed, two
// rows in one, into memory that the second-level cache holds.
#pragma once

#include "level.hpp"
#include "plane_axis.hpp"
#include "triangle.hpp"
#include "word_channels.hpp"

namespace medplug {

constexpr std::int64_t kMostPacked = std::int64_t{1} << 17; // integers, half a MiB, beside a few rows of sums

template <class Stored>
auto pack_kernel() noexcept {
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        return kernels().pack_rows_uint8;
    } else if constexpr (std::is_same_v<Stored, std::int8_t>) {
        return kernels().pack_rows_int8;
    } else if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        return kernels().pack_rows_uint16;
    } else {
        return kernels().pack_rows_int16;
    }
}

template <class Stored>
auto smooth_kernel() noexcept {
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        return kernels().smooth_halves_uint8;
    } else if constexpr (std::is_same_v<Stored, std::int8_t>) {
        return kernels().smooth_halves_int8;
    } else if constexpr (std::is_same_v<Stored, std::uint16_t>) {
        return kernels().smooth_halves_uint16;
    } else {
        return kernels().smooth_halves_int16;
    }
}

// What a smoothed half makes of words: sums of two by two of them and their weights, brought to 15 bits.
struct HalfWords {
    bool means = false;
    int shift = 0;

    explicit HalfWords(std::int64_t high) noexcept : means(high > 16383) {
        const std::int64_t most = (means ? high : 2 * high) << (kSmoothingBits + 1);
        while ((most + (std::int64_t{1} << shift >> 1)) >> shift > 16383) {
            ++shift;
        }
    }
    int bits() const noexcept { return 16 - (means ? 1 : 0) - shift; } // more than a word's mean has
};

// The tiles of one image at one level.
template <class Stored>
struct Tiles {
    const StoredView<Stored>& stored;
    const Resampling& how;
    const OutputView& out;
    const std::vector<WordChannel>& channels;
    const std::vector<std::int64_t>& slices; // the stored one of each of the output's
    const Level level;
    PlaneAxis rows, columns;
    std::int64_t size;
    int pairs, octets;
    bool linear; // both triangles are one pixel wide either way

    Tiles(const StoredView<Stored>& from, const Resampling& resampling, const OutputView& to,
          const std::vector<WordChannel>& word_channels, const std::vector<std::int64_t>& stored_slices,
          const Level& from_level, std::int64_t most)
        : stored(from), how(resampling), out(to), channels(word_channels), slices(stored_slices), level(from_level),
          rows(level.axes[1], 2, level.smoothed), columns(level.axes[2], kColumnPad, level.smoothed), size(most),
          pairs(static_cast<int>(rows.taps / 2 + 1)), octets(static_cast<int>((columns.taps + 7) / 8)),
          linear(rows.support == 1.0 && columns.support == 1.0) {
        while (size > 1 && packed_pairs() * pitch() > kMostPacked) {
            size /= 2;
        }
    }

    double travel(std::size_t axis) const noexcept {
        const auto& along = level.map.linear[axis];
        return (std::abs(along[1]) + std::abs(along[2])) * static_cast<double>(size - 1);
    }
    std::int64_t pitch() const noexcept { return columns.reach(travel(2)) + 8 * octets; }
    std::int64_t packed_pairs() const noexcept { return rows.reach(travel(1)) / (linear ? 1 : 2) + 1 + pairs; }

    // What no image asks for more than, whatever its level, if it steps no farther from output to output, down and
    // across together, and its windows are no wider.
    static std::int64_t most_scratch_bytes(const std::array<Axis, 3>& axes, const std::array<double, 3>& steps,
                                           std::int64_t tile) noexcept {
        const PlaneAxis rows(axes[1], 2, true), columns(axes[2], kColumnPad, true);
        const auto outputs = static_cast<double>(tile);
        const std::int64_t pitch = columns.reach(outputs * steps[2]) + columns.taps + 7;
        const std::int64_t pairs = rows.reach(outputs * steps[1]) + rows.taps + 2;
        return (std::min(pitch * pairs, kMostPacked) + 7 * pitch + 2 * pairs) *
               static_cast<std::int64_t>(sizeof(std::int32_t));
    }

    // Behind the packed pairs a smoothed half has five rows of sums, and the words of one row; then come the spans.
    std::int64_t span_count() const noexcept { return std::max(rows.reach(travel(1)), packed_pairs()); }
    std::int64_t spans_at() const noexcept { return pitch() * (packed_pairs() + (level.smoothed ? 7 : 0)); }
    std::int64_t scratch_bytes() const noexcept {
        return (spans_at() + 2 * span_count()) * static_cast<std::int64_t>(sizeof(std::int32_t));
    }

    // Of a tile that is turned most rows are read in part. `spans` holds where they begin, and then where they end, for
    // `count` rows or pairs that advance by so many; outputs up to `above` and `below` them read them.
    void find_spans(const Shape& begin, const Shape& end, const Reach& beneath_rows, const Reach& beneath_columns,
                    std::int64_t count, std::int64_t advance, double above, double below,
                    std::int32_t* spans) const noexcept {
        const std::int64_t at[4][2] = {
            {begin[1], begin[2]}, {begin[1], end[2] - 1}, {end[1] - 1, end[2] - 1}, {end[1] - 1, begin[2]}};
        std::array<double, 4> corner_rows, corner_columns;
        for (std::size_t i = 0; i < 4; ++i) {
            corner_rows[i] = position(1, begin[0], at[i][0], at[i][1]) - static_cast<double>(beneath_rows.first);
            corner_columns[i] = position(2, begin[0], at[i][0], at[i][1]) - static_cast<double>(beneath_columns.first);
        }
        const Outline outline(corner_rows, corner_columns);
        const double beside = columns.support + (level.smoothed ? 4.0 : 2.0); // what a window reaches, and rounding
        const auto most = static_cast<double>(beneath_columns.count);
        const auto whole = static_cast<std::int32_t>(level.smoothed ? kColumnPad / 2 : kColumnPad); // registers
        constexpr std::int64_t together = 4; // rows to which a span is given
        for (std::int64_t i = 0; i < count; i += together) {
            const auto first = static_cast<double>(i * advance), last = first + static_cast<double>(together * advance);
            const auto [left, right] = outline.between(first - above, last + below);
            const double from = left > right ? 0.0 : std::clamp(left - beside, 0.0, most);
            const double to = left > right ? 0.0 : std::clamp(right + beside + 1.0, 0.0, most);
            for (std::int64_t k = i; k < std::min(i + together, count); ++k) {
                spans[k] = static_cast<std::int32_t>(from) / whole * whole;
                spans[count + k] = static_cast<std::int32_t>(to);
            }
        }
    }

    double position(std::size_t axis, std::int64_t slice, std::int64_t row, std::int64_t column) const noexcept {
        const auto& along = level.map.linear[axis];
        return along[0] * static_cast<double>(slice) + along[1] * static_cast<double>(row) + level.map.shift[axis] +
               along[2] * static_cast<double>(column);
    }

    // An affine map is extreme at the corners.
    Reach reach(std::size_t axis, const PlaneAxis& along, const Shape& begin, const Shape& end) const noexcept {
        double low = INFINITY, high = -INFINITY;
        for (const std::int64_t row : {begin[1], end[1] - 1}) {
            for (const std::int64_t column : {begin[2], end[2] - 1}) {
                const double there = std::clamp(position(axis, begin[0], row, column), along.low, along.high);
                low = std::min(low, there);
                high = std::max(high, there);
            }
        }
        Reach result{static_cast<std::int64_t>(std::floor(low - along.support)) - 1 - along.margin, 0};
        result.count = static_cast<std::int64_t>(std::ceil(high + along.support)) + 2 + along.margin - result.first;
        if (linear && !level.smoothed && how.border == Border::edge) { // nothing outside is ever looked at
            const std::int64_t stop = std::min(result.first + result.count, along.last + 1);
            result.first = std::max<std::int64_t>(result.first, 0);
            result.count = stop - result.first;
        }
        // Whole registers read faster than the end of a row, if the image goes on.
        const std::int64_t rounded = (result.count + along.multiple - 1) / along.multiple * along.multiple;
        if (result.first >= 0 && result.first + result.count <= along.last + 1 && rounded <= along.last + 1) {
            result = {std::min(result.first, along.last + 1 - rounded), rounded};
        }
        return result;
    }

    static bool inside(const Reach& beneath, const PlaneAxis& along) noexcept {
        return beneath.first >= 0 && beneath.first + beneath.count <= along.last + 1;
    }
    bool holds(const Shape& begin, const Shape& end) const noexcept {
        return inside(reach(1, rows, begin, end), rows) && inside(reach(2, columns, begin, end), columns);
    }

    void pack_smoothed(const WordChannel& channel, const Shape& begin, const Shape& end, const Reach& beneath_rows,
                       const Reach& beneath_columns, std::int32_t* packed) const noexcept {
        const std::int64_t slice = slices[static_cast<std::size_t>(begin[0])];
        const HalfWords half(channel.tone.high);
        HalfPack job{};
        job.rows = stored.row(channel.stored, slice, 2 * beneath_rows.first) +
                   2 * beneath_columns.first * static_cast<std::int64_t>(sizeof(Stored));
        job.stride = stored.strides[1];
        job.count = beneath_rows.count;
        job.columns = beneath_columns.count;
        job.tone = &channel.tone;
        job.down = level.rows;
        job.across = level.columns;
        job.means = half.means;
        job.shift = half.shift;
        job.packed = packed;
        job.pitch = pitch();
        job.sums = packed + packed_pairs() * pitch();
        job.words = reinterpret_cast<std::int16_t*>(job.sums + 5 * pitch()) + kColumnPad;
        auto* spans = packed + spans_at();
        // A row of sums serves outputs beside it, the smoothing of rows beside these, and those packed with them.
        find_spans(begin, end, beneath_rows, beneath_columns, job.count, 1, 7.0, 5.0, spans);
        job.begins = spans;
        job.ends = spans + job.count;
        smooth_kernel<Stored>()(job);
    }

    // What lies outside the image is left as it was: it weighs nothing.
    void pack(const WordChannel& channel, const Shape& begin, const Shape& end, const Reach& beneath_rows,
              const Reach& beneath_columns, std::int64_t advance, bool edges, std::int32_t* packed) const noexcept {
        const std::int64_t slice = slices[static_cast<std::size_t>(begin[0])];
        const auto clipped = [](const Reach& beneath, const PlaneAxis& along) {
            const std::int64_t from = std::clamp<std::int64_t>(beneath.first, 0, along.last + 1);
            return Reach{from, std::clamp(beneath.first + beneath.count, from, along.last + 1) - from};
        };
        const Reach those_rows = clipped(beneath_rows, rows), those_columns = clipped(beneath_columns, columns);
        if (those_rows.count == 0 || those_columns.count == 0) {
            return;
        }
        RowPack job{};
        job.stride = stored.strides[1];
        job.advance = advance;
        job.columns = those_columns.count;
        job.tone = &channel.tone;
        job.pitch = pitch();
        const std::int64_t stop = those_rows.first + those_rows.count;
        const std::int64_t count = (beneath_rows.count + advance - 1) / advance;
        auto* spans = packed + spans_at();
        if (!edges) {
            find_spans(begin, end, beneath_rows, beneath_columns, count, advance, rows.support + 1.0,
                       rows.support + 2.0, spans);
        }
        const auto pack_from = [&](std::int64_t upper, std::int64_t pairs_here) { // `upper` may be one above the image
            job.rows = stored.row(channel.stored, slice, upper) +
                       those_columns.first * static_cast<std::int64_t>(sizeof(Stored));
            job.pairs = pairs_here;
            job.begins = edges ? nullptr : spans + (upper - beneath_rows.first) / advance;
            job.ends = edges ? nullptr : job.begins + count;
            job.packed = packed + (upper - beneath_rows.first) / advance * job.pitch + those_columns.first -
                         beneath_columns.first;
            pack_kernel<Stored>()(job);
        };
        std::int64_t row = those_rows.first;
        if (advance == 2 && (row - beneath_rows.first) % 2 != 0) {
            job.missing_upper = true;
            pack_from(row - 1, 1);
            job.missing_upper = false;
            ++row;
        }
        const std::int64_t whole = (stop - row) / advance - (advance == 1 ? 1 : 0);
        if (whole > 0) {
            pack_from(row, whole);
            row += whole * advance;
        }
        if (row < stop) {
            job.missing_lower = true;
            pack_from(row, 1);
        }
    }

    TileAxis axis(const PlaneAxis& along, std::size_t index, const Shape& begin, const Reach& beneath) const noexcept {
        TileAxis result{};
        const auto first = static_cast<double>(beneath.first);
        result.position = position(index, begin[0], begin[1], begin[2]) - first;
        result.down = level.map.linear[index][1];
        result.step = static_cast<float>(level.map.linear[index][2]);
        result.support = static_cast<float>(along.support);
        result.low = static_cast<float>(along.low - first);
        result.high = static_cast<float>(along.high - first);
        result.first = static_cast<std::int32_t>(beneath.first);
        result.last = static_cast<std::int32_t>(along.last);
        return result;
    }

    void make(std::int64_t c, const Shape& begin, const Shape& end, std::int32_t* packed) const noexcept {
        const WordChannel& channel = channels[static_cast<std::size_t>(c)];
        const Reach beneath_rows = reach(1, rows, begin, end), beneath_columns = reach(2, columns, begin, end);
        TileJob job{};
        job.packed = packed;
        job.pitch = pitch();
        job.width = end[2] - begin[2];
        job.height = end[1] - begin[1];
        job.out = out.row(c, begin[0], begin[1]) + begin[2];
        job.out_stride = out.shape[2];
        const int bits = level.smoothed ? HalfWords(channel.tone.high).bits() : 0;
        job.rows = axis(rows, 1, begin, beneath_rows);
        job.columns = axis(columns, 2, begin, beneath_columns);
        job.pairs = pairs;
        job.taps = static_cast<int>(columns.taps);
        job.edges = !level.smoothed && (!inside(beneath_rows, rows) || !inside(beneath_columns, columns) ||
                                        (linear && how.border == Border::edge));
        job.fills = how.border == Border::constant;
        job.gain = static_cast<float>(std::ldexp(channel.gain, -bits));
        job.bias = static_cast<float>(channel.bias);
        job.background = static_cast<float>(channel.background);

        const bool is_linear = linear && !(job.edges && job.fills);
        if (level.smoothed) {
            pack_smoothed(channel, begin, end, beneath_rows, beneath_columns, packed);
        } else {
            pack(channel, begin, end, beneath_rows, beneath_columns, is_linear ? 1 : 2, job.edges, packed);
        }
        if (is_linear) {
            kernels().make_linear_tile(job);
        } else {
            const Triangle down(rows.support, static_cast<double>(channel.tone.high), 2 * pairs);
            const Triangle across(columns.support, 32768.0, columns.taps); // halves of the rows' sums
            job.rows.weights = down.weights();
            job.columns.weights = across.weights();
            kernels().make_tile(job);
        }
        for (std::int64_t row = 0; !channel.after_is_line && row < job.height; ++row) {
            apply_after(channel, how.after[c], job.out + row * job.out_stride, job.width);
        }
    }
};

} // namespace medplug
