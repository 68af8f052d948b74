#pragma once

#include "tone.hpp"
#include "view.hpp"

#include <vector>

namespace medplug {

// An image made of a stored one, [channels, slices, rows, columns], and the tones that give its words their meaning.
struct WordImage {
    std::vector<std::uint16_t> words;
    StoredView<std::uint16_t> view;
    std::vector<Tone> before;

    // With room for `channels` planes of `shape`. Throws std::bad_alloc.
    WordImage(std::int64_t channels, const Shape& shape) {
        const auto& [slices, rows, columns] = shape;
        const std::int64_t plane = slices * rows * columns;
        words.resize(static_cast<std::size_t>(channels * plane));
        view = {reinterpret_cast<const std::byte*>(words.data()),
                channels,
                2 * plane,
                shape,
                {2 * rows * columns, 2 * columns, 2}};
    }
    WordImage(WordImage&&) = default;

    std::uint16_t* plane(std::int64_t channel) noexcept { return words.data() + channel * view.channel_stride / 2; }
};

} // namespace medplug
