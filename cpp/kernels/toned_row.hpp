#pragma once

#include "resample.hpp"

namespace medplug {

template <class Stored>
void read_row(const std::byte* row, std::int64_t stride, std::int64_t count, double factor, bool add,
              double* values) noexcept {
    const auto each = [&](auto step) { // twice, so that the contiguous row has a constant stride and vectorises
        if (add) {
            for (std::int64_t i = 0; i < count; ++i) {
                values[i] += factor * static_cast<double>(load<Stored>(row + i * step));
            }
        } else {
            for (std::int64_t i = 0; i < count; ++i) {
                values[i] = factor * static_cast<double>(load<Stored>(row + i * step));
            }
        }
    };
    if (stride == static_cast<std::int64_t>(sizeof(Stored))) {
        each(std::integral_constant<std::int64_t, sizeof(Stored)>{});
    } else {
        each(stride);
    }
}

// before[channel] of `count` stored pixels of one row, from column `first` on.
template <class Stored>
void toned_row(const StoredView<Stored>& stored, const Resampling& how, std::int64_t channel, std::int64_t slice,
               std::int64_t row, std::int64_t first, std::int64_t count, double* values) noexcept {
    const std::int64_t stride = stored.strides[2];
    const auto read = [&](std::int64_t from, double factor, bool add) {
        read_row<Stored>(stored.row(from, slice, row) + first * stride, stride, count, factor, add, values);
    };
    if (how.matrix == nullptr) {
        read(channel, 1.0, false);
    } else {
        for (std::int64_t k = 0; k < stored.channels; ++k) {
            read(k, how.matrix[channel * stored.channels + k], k > 0);
        }
    }
    how.before[channel].apply(values, count);
}

} // namespace medplug
