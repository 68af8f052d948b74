#pragma once

#include "resample.hpp"
#include "stored_file.hpp"

namespace medplug {

// As `resample`, bit for bit, of an image whose values lie in a file: `stored` says its shape, and has no memory. The
// rows are read as they are needed, into memory that a cache holds, a few of them twice. False where such a call is
// none in words along the image's own axes to one channel, or a panel's rows are too much; or where the file ends too
// soon, and `out` means nothing then. Throws std::bad_alloc.
template <class Stored>
bool resample_file(const StoredFile& file, const StoredView<Stored>& stored, const Resampling& how,
                   const OutputView& out, int threads);

} // namespace medplug
