#include "resample.hpp"

#include "curved_values.hpp"
#include "mixed_channels.hpp"
#include "resample_nearest.hpp"
#include "resample_oblique.hpp"
#include "resample_tiles.hpp"
#include "resample_volume.hpp"
#include "resample_words.hpp"
#include "word_channels.hpp"

namespace medplug {

std::array<Axis, 3> Resampling::axes(const Shape& stored) const noexcept {
    std::array<Axis, 3> result{};
    for (std::size_t i = 0; i < 3; ++i) {
        const auto& row = to_stored.linear[i];
        // The length of the row is the scale, for axis-aligned maps and for rotated ones alike.
        const double scale = filter == Filter::antialias ? std::hypot(row[0], row[1], row[2]) : 1.0;
        result[i] = {stored[i], std::max(1.0, scale), filter, border};
    }
    return result;
}

template <class Stored>
void resample(const StoredView<Stored>& stored, const Resampling& how, const OutputView& out, int threads) {
    const auto resample_words_of = [&](const WordImage& image) {
        Resampling rest = how;
        rest.matrix = nullptr;
        rest.before = image.before.data();
        resample(image.view, rest, out, threads);
    };
    if constexpr (std::is_same_v<Stored, std::uint8_t>) {
        if (picked_channels(how.matrix, out.channels, stored.channels).empty()) {
            if (const auto mixed = mixed_channels(stored, how, out.channels)) {
                resample_words_of(*mixed);
                return;
            }
        }
    }
    if constexpr (std::is_integral_v<Stored>) {
        if (const auto curved = curved_values(stored, how, out)) {
            resample_words_of(*curved);
            return;
        }
    }
    std::array<std::size_t, 3> axis{};
    if (!find_stored_axes(how.to_stored, out.shape, axis)) {
        if (how.filter == Filter::nearest) {
            resample_nearest(stored, how, out, threads);
            return;
        }
        if constexpr (std::is_integral_v<Stored>) {
            if (resample_tiles(stored, how, out, threads) || resample_oblique(stored, how, out, threads)) {
                return;
            }
        }
        resample_affine(stored, how, out, threads);
        return;
    }
    const std::array<Axis, 3> axes = how.axes(stored.shape);
    StoredView<Stored> turned = stored;
    const auto map = [&](std::size_t j) {
        turned.shape[j] = stored.shape[axis[j]];
        turned.strides[j] = stored.strides[axis[j]];
        return AxisMap{axes[axis[j]], how.to_stored.linear[axis[j]][j], how.to_stored.shift[axis[j]], out.shape[j]};
    };
    const TapTables tables({map(0), map(1), map(2)});
    if constexpr (std::is_integral_v<Stored>) {
        if (resample_words(turned, how, tables, out, threads) || resample_volume(turned, how, tables, out, threads)) {
            return;
        }
    }
    resample_separable(turned, how, tables, out, threads);
}

template <class Stored>
void resample_batch(const BatchView<Stored>& batch, const Resampling& how, const Affine* maps, const OutputView& out,
                    int threads) {
    if constexpr (std::is_integral_v<Stored>) {
        if (resample_tiles_batch(batch, how, maps, out, threads)) {
            return;
        }
    }
    for (std::int64_t i = 0; i < batch.count; ++i) {
        StoredView<Stored> stored = batch.first;
        stored.origin += i * batch.stride;
        OutputView target = out;
        target.origin += i * out.channels * out.shape[0] * out.shape[1] * out.shape[2];
        Resampling mapped = how;
        mapped.to_stored = maps[i];
        resample(stored, mapped, target, threads);
    }
}

#define MEDPLUG_INSTANTIATE(Stored)                                                                                    \
    template void resample(const StoredView<Stored>&, const Resampling&, const OutputView&, int);                      \
    template void resample_batch(const BatchView<Stored>&, const Resampling&, const Affine*, const OutputView&, int);
MEDPLUG_INSTANTIATE(std::uint8_t)
MEDPLUG_INSTANTIATE(std::int8_t)
MEDPLUG_INSTANTIATE(std::uint16_t)
MEDPLUG_INSTANTIATE(std::int16_t)
MEDPLUG_INSTANTIATE(float)

} // namespace medplug
