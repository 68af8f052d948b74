#pragma once

#include "affine.hpp"
#include "taps.hpp"
#include "thread_pool.hpp"
#include "tone.hpp"
#include "view.hpp"

#include <vector>

namespace medplug {

// What is done to each value and where each value comes from:
//   out[c](o) = after[c](sum_i weight_i(o) * before[c](sum_k matrix[c, k] * stored[k](i)))
// The arrays hold one entry per output channel; matrix is [output channels, stored channels] or null for the
// identity. fill is a value as `before` gives them. The caller guarantees finite numbers, a linear part of
// full rank, views that are not empty and do not overlap, and as many stored as output channels where matrix
// is null.
struct Resampling {
    Affine to_stored;
    Filter filter;
    Border border;
    const double* matrix;
    const Tone* before;
    const Tone* after;
    const double* fill;
    bool fast; // where it pays, from a smoothed image half as large

    std::array<Axis, 3> axes(const Shape& stored) const noexcept;
};

// Fills `out`, with the same bits for every number of threads. Throws std::bad_alloc before it writes
// anything.
template <class Stored>
void resample(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads);

// The same for many images of one shape, each with a map of its own in place of how.to_stored; `out` is the first's,
// and the others' follow it. What it throws may come after some images are written.
template <class Stored>
void resample_batch(const BatchView<Stored>& batch, const Resampling& how, const Affine* maps, const OutputView& out,
                    int threads);

// For maps that move every output axis along one stored axis; table j holds the taps of output axis j, and
// the axes of `stored` are in the output's order.
template <class Stored>
void resample_separable(const StoredView<Stored>& stored, const Resampling& how, const TapTables& tables,
                        const OutputView& out, int threads);

// For any map of full rank.
template <class Stored>
void resample_affine(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads);

} // namespace medplug
