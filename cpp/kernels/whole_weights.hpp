#pragma once

#include "taps.hpp"

#include <vector>

namespace medplug {

// Of how many bits the weights of a table may be, so that each is a word and no sum of words up to `most` leaves an
// int32.
int weight_bits(const TapTable& taps, std::int64_t most) noexcept;

// The weights of a window as whole numbers of 2^-bits, whose sum is exactly what the window's is: rounded down, and the
// largest remainders up, of equal ones the first. A flat image stays flat.
class WholeWeights {
  public:
    void round(const Window& window, const double* exact, int bits);

    std::vector<std::int16_t> values;

  private:
    struct Rest {
        double value;
        std::size_t place;
    };
    std::vector<Rest> rests_;
};

} // namespace medplug
