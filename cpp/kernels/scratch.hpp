#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace medplug {

// Working memory for `slots` threads, taken from what earlier calls left behind: fresh pages cost more than the work
// of a small image. At most a few MiB are kept. Throws std::bad_alloc.
class KeptScratch {
  public:
    KeptScratch(int slots, std::int64_t bytes_per_slot);
    ~KeptScratch();
    KeptScratch(const KeptScratch&) = delete;
    KeptScratch& operator=(const KeptScratch&) = delete;

    std::byte* of(int slot) const noexcept { return origin_ + slot * stride_; }

  private:
    std::unique_ptr<std::byte[]> block_;
    std::int64_t size_;
    std::int64_t stride_;
    std::byte* origin_;
};

} // namespace medplug
