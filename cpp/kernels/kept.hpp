#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <utility>

namespace medplug {

// What was made for the last few keys, for calls that ask for the same again: a series is many images of one geometry.
// Like KeptScratch it never waits and is never destroyed. Value::items() bounds the memory: large ones are not kept.
template <class Key, class Value>
class Kept {
  public:
    template <class Make>
    static std::shared_ptr<const Value> of(const Key& key, const Make& make) {
        static auto* kept = new Kept;
        if (auto found = kept->find(key)) {
            return found;
        }
        auto made = std::make_shared<const Value>(make());
        kept->add(key, made);
        return made;
    }

  private:
    static constexpr std::size_t kEntries = 8;
    static constexpr std::size_t kMostItems = std::size_t{1} << 16;

    std::shared_ptr<const Value> find(const Key& key) {
        const std::unique_lock lock(mutex_, std::try_to_lock);
        for (std::size_t i = 0; lock && i < kEntries; ++i) {
            if (entries_[i].second != nullptr && entries_[i].first == key) {
                for (; i > 0; --i) { // the last one used comes first
                    std::swap(entries_[i], entries_[i - 1]);
                }
                return entries_[0].second;
            }
        }
        return nullptr;
    }

    void add(const Key& key, const std::shared_ptr<const Value>& made) {
        std::pair<Key, std::shared_ptr<const Value>> entry{key, made}; // what it replaces dies unlocked
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (!lock || made->items() > kMostItems) {
            return;
        }
        for (auto& other : entries_) {
            std::swap(other, entry);
            if (entry.second == nullptr || entry.first == key) { // another thread was as fast
                return;
            }
        }
    }

    std::mutex mutex_;
    std::array<std::pair<Key, std::shared_ptr<const Value>>, kEntries> entries_;
};

} // namespace medplug
