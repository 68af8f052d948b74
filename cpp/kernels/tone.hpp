#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace medplug {

// A curve over grey values: lookup table, line, clamp or sigmoid, gamma, line again. Every step keeps NaN.
// In double, because a narrow window on 16-bit values would lose six bits of a float before its clamp.
struct Tone {
    const float* table = nullptr;
    std::int64_t table_size = 0;
    std::int64_t first = 0; // the value that the table's first entry stands for
    double slope = 1.0;
    double intercept = 0.0;
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
    bool sigmoid = false;
    double gamma = 1.0;
    double scale = 1.0;
    double offset = 0.0;

    // A line and a clamp, and no more.
    bool is_clamped_line() const noexcept { return table == nullptr && !sigmoid && gamma == 1.0; }
    bool is_line() const noexcept {
        return is_clamped_line() && low == -std::numeric_limits<double>::infinity() &&
               high == std::numeric_limits<double>::infinity();
    }

    // Comparisons in this order hand NaN through, and compile to one min and one max.
    double clamped(double value) const noexcept {
        value = value < low ? low : value;
        return value > high ? high : value;
    }

    double looked_up(double value) const noexcept {
        if (std::isnan(value)) {
            return value;
        }
        const double entry = std::floor(value + 0.5) - static_cast<double>(first);
        return table[static_cast<std::int64_t>(std::clamp(entry, 0.0, static_cast<double>(table_size - 1)))];
    }

    double operator()(double value) const noexcept {
        if (table != nullptr) {
            value = looked_up(value);
        }
        value = value * slope + intercept;
        value = sigmoid ? 1.0 / (1.0 + std::exp(-4.0 * value)) : clamped(value);
        if (gamma != 1.0) {
            value = std::pow(value < 0.0 ? 0.0 : value, gamma);
        }
        return value * scale + offset;
    }

    void apply(double* values, std::int64_t count) const noexcept {
        if (is_clamped_line()) { // the usual curve, in a loop that vectorises
            const Tone line = *this;
            for (std::int64_t i = 0; i < count; ++i) {
                values[i] = line.clamped(values[i] * line.slope + line.intercept) * line.scale + line.offset;
            }
            return;
        }
        for (std::int64_t i = 0; i < count; ++i) {
            values[i] = (*this)(values[i]);
        }
    }
};

} // namespace medplug
