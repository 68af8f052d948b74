#include "whole_weights.hpp"

#include <algorithm>
#include <cmath>

namespace medplug {

int weight_bits(const TapTable& taps, std::int64_t most) noexcept {
    double heaviest = 1e-3;
    for (const double weight : taps.weights) {
        heaviest = std::max(heaviest, weight);
    }
    return static_cast<int>(std::min(std::floor(std::log2(32767.0 / heaviest)),
                                     std::floor(std::log2(2147483647.0 / static_cast<double>(most)))));
}

void WholeWeights::round(const Window& window, const double* exact, int bits) {
    const auto count = static_cast<std::size_t>(window.count);
    values.resize(count);
    rests_.resize(count);
    auto missing = static_cast<std::int64_t>(std::nearbyint(std::ldexp(window.inside, bits)));
    const double scale = std::ldexp(1.0, bits);
    for (std::size_t k = 0; k < count; ++k) {
        const double scaled = exact[k] * scale;
        values[k] = static_cast<std::int16_t>(scaled);
        rests_[k] = {scaled - static_cast<double>(values[k]), k};
        missing -= values[k];
    }
    const auto up = static_cast<std::ptrdiff_t>(std::clamp<std::int64_t>(missing, 0, window.count));
    std::partial_sort(rests_.begin(), rests_.begin() + up, rests_.end(), [](const Rest& a, const Rest& b) {
        return a.value > b.value || (a.value == b.value && a.place < b.place);
    });
    for (std::ptrdiff_t k = 0; k < up; ++k) {
        ++values[rests_[static_cast<std::size_t>(k)].place];
    }
}

} // namespace medplug
