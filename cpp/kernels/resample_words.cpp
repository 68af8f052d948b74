// Separable resampling of stored integers: the tone, the sums over rows and then those over columns in 16-bit words. It
// serves what most images are, a clamped window over contiguous rows; everything else takes the exact path.
#include "resample_words.hpp"

#include "scratch.hpp"
#include "whole_rows.hpp"
#include "words.hpp"

namespace medplug {

template <class Stored>
bool resample_words(const StoredView<Stored>& stored, const Resampling& how, const TapTables& tables,
                    const OutputView& out, int threads) {
    if (!worth_copying(stored)) {
        return false;
    }
    const auto plan = plan_words(stored, how, tables, out);
    if (!plan) {
        return false;
    }
    const WholeRows<Stored> whole(stored);
    const StoredView<Stored>& view = whole.view();
    const Words<Stored> words{how, tables, out, *plan, view.strides[1]};

    const std::int64_t panels = (out.shape[1] + kPanel - 1) / kPanel;
    const std::int64_t items = out.channels * out.shape[0] * panels;
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    const KeptScratch scratch(slots, words.layout.bytes());
    ThreadPool::run(items, slots, [&](std::int64_t item, int slot) noexcept {
        const std::int64_t begin = item % panels * kPanel;
        const std::int64_t c = item / panels / out.shape[0], slice = item / panels % out.shape[0];
        const PlannedChannel& channel = plan->channels[static_cast<std::size_t>(c)];
        words.make_panel(c, slice, begin, std::min(begin + kPanel, out.shape[1]),
                         view.row(channel.stored, tables[0][slice].first, 0),
                         static_cast<std::int64_t>(channel.rows->steps.size()) - 1, scratch.of(slot));
    });
    return true;
}

template bool resample_words(const StoredView<std::uint8_t>&, const Resampling&, const TapTables&, const OutputView&,
                             int);
template bool resample_words(const StoredView<std::int8_t>&, const Resampling&, const TapTables&, const OutputView&,
                             int);
template bool resample_words(const StoredView<std::uint16_t>&, const Resampling&, const TapTables&, const OutputView&,
                             int);
template bool resample_words(const StoredView<std::int16_t>&, const Resampling&, const TapTables&, const OutputView&,
                             int);

} // namespace medplug
