// Bugs on purpose, one for each sanitizer: a check that does not find them finds nothing. Built with
// MEDPLUG_PLANTED_BUG alone, and never installed.

#include <pybind11/pybind11.h>

#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

namespace py = pybind11;
using namespace py::literals;

namespace {

// Arguments come from Python, so that no compiler foresees the bug and removes it.
int read_heap(std::size_t index) {
    const std::vector<int> values(8, 1);
    return *(values.data() + index); // past the end from 8 on
}

int add_one(int value) {
    return value + 1; // overflows at INT_MAX
}

std::int64_t to_integer(double value) {
    return static_cast<std::int64_t>(value); // undefined from 2^63 on, and for NaN
}

// With several threads nothing orders the additions.
int count_with(int threads) {
    int total = 0;
    std::vector<std::thread> counters;
    for (int i = 0; i < threads; ++i) {
        counters.emplace_back([&total] { ++total; });
    }
    for (std::thread& counter : counters) {
        counter.join();
    }
    return total;
}

} // namespace

PYBIND11_MODULE(_planted_bug, m) {
    m.def("read_heap", &read_heap, "index"_a);
    m.def("add_one", &add_one, "value"_a);
    m.def("to_integer", &to_integer, "value"_a);
    m.def("count_with", &count_with, "threads"_a);
}
