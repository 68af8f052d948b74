#include "scratch.hpp"

#include <array>
#include <mutex>

namespace medplug {

namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kMostKept = std::int64_t{8} << 20; // bytes of one block

struct Block {
    std::unique_ptr<std::byte[]> memory;
    std::int64_t size = 0;
};

// Never destroyed: a worker of another thread may still return a block while the process ends. Never waited for: a
// process forked while another thread held the mutex would wait for ever.
struct Shelf {
    std::mutex mutex;
    std::array<Block, 4> blocks;

    static Shelf& instance() {
        static auto* shelf = new Shelf;
        return *shelf;
    }
};

} // namespace

KeptScratch::KeptScratch(int slots, std::int64_t bytes_per_slot)
    : size_(0), stride_((bytes_per_slot + kAlignment - 1) / kAlignment * kAlignment) {
    const std::int64_t wanted = stride_ * slots + kAlignment;
    {
        Shelf& shelf = Shelf::instance();
        const std::unique_lock lock(shelf.mutex, std::try_to_lock);
        for (Block& block : shelf.blocks) {
            if (lock && block.size >= wanted) {
                block_ = std::move(block.memory);
                size_ = block.size;
                block.size = 0;
                break;
            }
        }
    }
    if (!block_) {
        block_.reset(new std::byte[static_cast<std::size_t>(wanted)]);
        size_ = wanted;
    }
    const auto address = reinterpret_cast<std::uintptr_t>(block_.get());
    origin_ = block_.get() + (kAlignment - static_cast<std::int64_t>(address % kAlignment)) % kAlignment;
}

KeptScratch::~KeptScratch() {
    if (size_ > kMostKept) {
        return;
    }
    Shelf& shelf = Shelf::instance();
    const std::unique_lock lock(shelf.mutex, std::try_to_lock);
    for (Block& block : shelf.blocks) {
        if (lock && block.size < size_) {
            std::swap(block.memory, block_);
            std::swap(block.size, size_);
            return;
        }
    }
}

} // namespace medplug
