#include "pairs.hpp"

namespace medplug::MEDPLUG_ISA {

namespace {

inline Floats between(const SliceLerp& job, std::int64_t i) noexcept {
    const Floats sum = load_floats(job.first + i) * job.first_weight + load_floats(job.second + i) * job.second_weight;
    return clamped(sum + job.bias, Floats{} + job.low, Floats{} + job.high);
}

inline void few(const SliceLerp& job, std::int64_t i, std::int64_t count) noexcept {
    const Floats values = between(job, i);
    std::memcpy(job.out + i, &values, static_cast<std::size_t>(count) * sizeof(float));
}

// Brings in some lines with every register written, so that memory never waits for the arithmetic.
struct Ahead {
    const std::byte* place;
    std::int64_t apart, step;

    explicit Ahead(const SliceLerp& job) noexcept
        : place(job.ahead), apart(job.ahead_apart), step(job.ahead_bytes * kLanes / job.count) {}

    void go_on() noexcept {
        __builtin_prefetch(place);
        __builtin_prefetch(place + apart);
        place += step;
    }
};

} // namespace

void lerp_slices(const SliceLerp& job) noexcept {
    Ahead ahead(job);
    std::int64_t i = 0;
    if (job.stream) { // up to the first whole register in memory
        const auto past = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(job.out) % sizeof(Floats) / 4);
        const std::int64_t head = past == 0 ? 0 : kLanes - past;
        i = head < job.count ? head : job.count;
        few(job, 0, i);
        for (; i + kLanes <= job.count; i += kLanes) {
            ahead.go_on();
            stream(job.out + i, between(job, i));
        }
        stream_fence();
    } else {
        for (; i + kLanes <= job.count; i += kLanes) {
            ahead.go_on();
            store(job.out + i, between(job, i));
        }
    }
    few(job, i, job.count - i);
}

} // namespace medplug::MEDPLUG_ISA
