#pragma once

#include "lerp_channel.hpp"
#include "resample.hpp"

#include <cmath>

namespace medplug {

// What a row has of the border's constant, one output at a time in double: for constants that no word can be.
template <class Stored>
class ObliqueBorder {
  public:
    ObliqueBorder(const StoredView<Stored>& stored, const Affine& map) noexcept : stored_(stored), map_(map) {}

    // Writes those of the columns begin .. end - 1 that lie at the border or outside.
    void finish_row(const LerpChannel& channel, std::int64_t slice, std::int64_t row, std::int64_t begin,
                    std::int64_t end, float* target) const noexcept {
        for (std::int64_t x = begin; x < end; ++x) {
            bool inside = true, outside = false;
            std::array<double, 3> here{};
            for (std::size_t i = 0; i < 3; ++i) {
                const auto& linear = map_.linear[i];
                const auto last = static_cast<double>(stored_.shape[i] - 1);
                here[i] = linear[0] * static_cast<double>(slice) + linear[1] * static_cast<double>(row) +
                          map_.shift[i] + linear[2] * static_cast<double>(x);
                inside = inside && here[i] >= kMargin && here[i] <= last - kMargin;
                outside = outside || here[i] <= -1.0 || here[i] >= last + 1.0;
            }
            if (!inside) {
                const double sum = outside ? channel.fill : between(channel, here);
                const auto value = static_cast<float>(sum * channel.gain + channel.bias);
                target[x] = std::clamp(value, channel.low, channel.high);
            }
        }
    }

  private:
    static constexpr double kMargin = 1e-3; // beyond it no rounded position reads a pixel outside

    double between(const LerpChannel& channel, const std::array<double, 3>& position) const noexcept {
        double sum = 0.0, inside = 0.0;
        for (int corner = 0; corner < 8; ++corner) {
            double weight = 1.0;
            bool there = true;
            const std::byte* from = stored_.row(channel.stored, 0, 0);
            for (std::size_t i = 0; i < 3; ++i) {
                const double below = std::floor(position[i]);
                const bool second = corner >> i & 1;
                const auto pixel = static_cast<std::int64_t>(below) + second;
                weight *= second ? position[i] - below : 1.0 - (position[i] - below);
                there = there && pixel >= 0 && pixel < stored_.shape[i];
                from += there ? pixel * stored_.strides[i] : 0;
            }
            if (there) {
                sum += weight * (channel.word(load<Stored>(from)) - channel.center);
                inside += weight;
            }
        }
        return sum * kNegatedOne + (1.0 - inside) * channel.fill;
    }

    const StoredView<Stored>& stored_;
    const Affine& map_;
};

} // namespace medplug
