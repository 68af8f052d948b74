#pragma once

#include "thread_pool.hpp"
#include "view.hpp"

#include <vector>

namespace medplug {

// The values at each percentage q (0 to 100) of the finite values, between ranks linearly, as NumPy's
// "linear" does. Returns nothing where no value is finite. Throws std::bad_alloc.
template <class Stored>
std::vector<double> percentiles(const StoredView<Stored>& stored, const std::vector<double>& percentages, int threads);

} // namespace medplug
