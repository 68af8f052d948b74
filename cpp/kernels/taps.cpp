#include "taps.hpp"

#include "affine.hpp"
#include "kept.hpp"

#include <algorithm>
#include <cmath>

namespace medplug {

namespace {

// The sum of max(0, 1 - |j - position| / support) over all integers j. In closed form: the support may be
// 1e12.
double whole_triangle(double position, double support) noexcept {
    const double left = position - std::floor(position);
    double sum = 0.0;
    for (const double nearest : {left, 1.0 - left}) {
        const double taps = std::max(0.0, std::ceil(support - nearest));
        sum += taps * (1.0 - nearest / support) - taps * (taps - 1.0) / (2.0 * support);
    }
    return sum;
}

Window nearest_pixel(double position, const Axis& axis, double* weights) noexcept {
    // A tie goes up, and noise must not decide it: half sizes put every pixel of a mask on a tie.
    const double pixel = std::floor(position + 0.5 + kPositionNoise);
    if (!(pixel >= 0.0 && pixel < static_cast<double>(axis.size))) {
        return {};
    }
    weights[0] = 1.0;
    return {static_cast<std::int64_t>(pixel), 1, 1.0};
}

} // namespace

std::int64_t Axis::max_taps() const noexcept {
    const double open = filter == Filter::nearest ? 1.0 : 2.0 * std::ceil(support) + 1.0;
    return static_cast<std::int64_t>(std::min(open, static_cast<double>(size)));
}

Window weigh(double position, const Axis& axis, double* weights) noexcept {
    const double last = static_cast<double>(axis.size - 1);
    const double support = axis.support;
    if (axis.border == Border::edge) {
        position = std::clamp(position, 0.0, last);
    }
    if (axis.filter == Filter::nearest) {
        return nearest_pixel(position, axis, weights);
    }
    if (position <= -support || position >= last + support) {
        return {};
    }
    // Clipped to the image as doubles: far positions and wide supports do not fit an integer.
    const auto from = static_cast<std::int64_t>(std::max(0.0, position - support));
    const auto upto = static_cast<std::int64_t>(std::min(last, position + support));
    Window window{from, 0, 0.0};
    double sum = 0.0;
    for (std::int64_t j = from; j <= upto; ++j) {
        const double weight = 1.0 - std::abs(static_cast<double>(j) - position) / support;
        if (weight > kPositionNoise) { // a tap that only noise reached would let its NaN in
            weights[window.count++] = weight;
            sum += weight;
        } else if (window.count == 0) {
            window.first = j + 1;
        }
    }
    if (window.count == 0) {
        return {};
    }
    double whole = sum;
    const double outside_distance = std::min(position + 1.0, last + 1.0 - position);
    if (axis.border == Border::constant && 1.0 - outside_distance / support > kPositionNoise) {
        whole = std::max(sum, whole_triangle(position, support));
    }
    for (std::int64_t k = 0; k < window.count; ++k) {
        weights[k] /= whole;
    }
    window.inside = sum / whole;
    return window;
}

std::shared_ptr<const TapTable> TapTable::kept(const AxisMap& map) {
    return Kept<AxisMap, TapTable>::of(map, [&] { return TapTable(map); });
}

TapTable::TapTable(const AxisMap& map) {
    const auto& [axis, step, shift, count] = map;
    windows.reserve(static_cast<std::size_t>(count));
    offsets.reserve(static_cast<std::size_t>(count));
    const double last = static_cast<double>(axis.size - 1);
    double previous = 0.0;
    for (std::int64_t index = 0; index < count; ++index) {
        double position = step * static_cast<double>(index) + shift;
        if (axis.border == Border::edge) {
            position = std::clamp(position, 0.0, last);
        }
        // A wide pad repeats one window; storing it once bounds the table by the image, not by the pad.
        if (index > 0 && position == previous) {
            windows.push_back(windows.back());
            offsets.push_back(offsets.back());
            continue;
        }
        previous = position;
        const std::size_t begin = weights.size();
        weights.resize(begin + static_cast<std::size_t>(axis.max_taps()));
        const Window window = weigh(position, axis, weights.data() + begin);
        weights.resize(begin + static_cast<std::size_t>(window.count));
        windows.push_back(window);
        offsets.push_back(static_cast<std::int64_t>(begin));
    }
    weights.shrink_to_fit(); // it may be kept, and had room for the widest window
}

Window TapTable::reach(std::int64_t begin, std::int64_t end) const noexcept {
    Window all;
    for (std::int64_t index = begin; index < end; ++index) {
        const Window& window = (*this)[index];
        if (window.count == 0) {
            continue;
        }
        const std::int64_t first = all.count == 0 ? window.first : std::min(all.first, window.first);
        const std::int64_t stop = std::max(all.first + all.count, window.first + window.count);
        all = {first, stop - first, 1.0};
    }
    return all;
}

} // namespace medplug
