#pragma once

#include "view.hpp"

#include <vector>

namespace medplug {

// Whether a copy of the image, of so many channels, is of a size that memory has: what NumPy broadcasts may claim 2^40
// items.
template <class Stored>
bool fits_memory(const StoredView<Stored>& stored, std::int64_t channels) noexcept {
    constexpr double most = 1 << 30;
    const auto& [slices, rows, columns] = stored.shape;
    return static_cast<double>(slices) * static_cast<double>(rows) * static_cast<double>(columns) *
               static_cast<double>(channels) <
           most;
}

// Whether the image's rows are whole already, or can be made so.
template <class Stored>
bool worth_copying(const StoredView<Stored>& stored) noexcept {
    return stored.strides[2] == static_cast<std::int64_t>(sizeof(Stored)) || fits_memory(stored, stored.channels);
}

// The same image with rows whose pixels lie side by side: itself where they do, else a copy. So the answer does not
// depend on how an image lies in memory. Throws std::bad_alloc.
template <class Stored>
class WholeRows {
  public:
    explicit WholeRows(const StoredView<Stored>& stored) : view_(stored) {
        constexpr auto item = static_cast<std::int64_t>(sizeof(Stored));
        const auto& [slices, rows, columns] = stored.shape;
        if (stored.strides[2] == item || columns == 1) {
            return;
        }
        copy_.resize(static_cast<std::size_t>(stored.channels * slices * rows * columns));
        Stored* to = copy_.data();
        for (std::int64_t c = 0; c < stored.channels; ++c) {
            for (std::int64_t s = 0; s < slices; ++s) {
                for (std::int64_t r = 0; r < rows; ++r) {
                    const std::byte* from = stored.row(c, s, r);
                    for (std::int64_t x = 0; x < columns; ++x, from += stored.strides[2]) {
                        *to++ = load<Stored>(from);
                    }
                }
            }
        }
        view_ = {reinterpret_cast<const std::byte*>(copy_.data()),
                 stored.channels,
                 slices * rows * columns * item,
                 stored.shape,
                 {rows * columns * item, columns * item, item}};
    }

    const StoredView<Stored>& view() const noexcept { return view_; }

  private:
    StoredView<Stored> view_;
    std::vector<Stored> copy_;
};

} // namespace medplug
