// A libFuzzer target: any bytes become a legal call of `percentiles`, whose answers must be ordered, lie within the
// values, and not depend on the threads. Built with MEDPLUG_FUZZ alone, and never installed.

#include "fuzz_input.hpp"
#include "kernels/percentiles.hpp"

using namespace medplug;
using namespace medplug::fuzzing;

namespace {

template <class Stored>
void fuzz_percentiles(Input& input) {
    // Work is shared out by 65536 values: now and then there are more.
    const bool large = input.between(0, 31) == 31;
    const std::int64_t slices = large ? 1 : input.between(1, 3);
    const Shape shape{slices, input.between(1, 20) * (large ? 30 : 1), input.between(1, large ? 200 : 20)};
    std::vector<double> percentages;
    for (std::int64_t count = input.between(0, 4); count > 0; --count) {
        percentages.push_back(input.byte() / 255.0 * 100.0);
    }
    const Image<Stored> image(input, input.between(1, 3), shape);

    const std::vector<double> alone = percentiles(image.view, percentages, 1);
    const std::vector<double> together = percentiles(image.view, percentages, 3);

    if (alone != together) {
        stop("three threads find other percentiles than one");
    }
    if (alone.size() != (image.low <= image.high ? percentages.size() : 0)) {
        stop("not as many percentiles as asked for");
    }
    for (std::size_t i = 0; i < alone.size(); ++i) {
        if (!(alone[i] >= image.low && alone[i] <= image.high)) {
            stop("a percentile lies outside the values");
        }
        for (std::size_t j = 0; j < i; ++j) {
            if (percentages[j] < percentages[i] ? alone[j] > alone[i] : alone[j] < alone[i]) {
                stop("a higher percentage has a lower percentile");
            }
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input input(bytes, size);
    with_stored_type(input, [&input](auto item) { fuzz_percentiles<decltype(item)>(input); });
    return 0;
}
