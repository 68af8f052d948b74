#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace medplug {

// Workers that wait for jobs, started as they are first asked for. The caller of run() always works along, so
// a job ends even where every worker is busy with another caller's, or none could be started.
class ThreadPool {
  public:
    // Calls work(item, slot) once for each item in 0 .. items - 1, in no order. At most `threads` calls run
    // at once, each with a slot in 0 .. threads - 1 of its own: scratch memory goes by slot.
    // Throws std::bad_alloc before the first call.
    template <class Work>
    static void run(std::int64_t items, int threads, const Work& work) {
        if (std::min<std::int64_t>(items, threads) <= 1) { // to ask for the pool costs as much as a tiny image
            for (std::int64_t item = 0; item < items; ++item) {
                work(item, 0);
            }
            return;
        }
        instance().run_erased(items, threads, &work, [](const void* context, std::int64_t item, int slot) noexcept {
            (*static_cast<const Work*>(context))(item, slot);
        });
    }

  private:
    using Call = void (*)(const void*, std::int64_t, int) noexcept;
    struct Job;

    // The pool of this process. A forked child has none of its parent's threads, so it gets a pool of its own.
    static ThreadPool& instance();

    void run_erased(std::int64_t items, int threads, const void* context, Call call) noexcept;
    void start_workers(int wanted) noexcept;
    void serve() noexcept;
    void unlink(Job* job) noexcept;

    std::mutex mutex_;
    std::condition_variable job_posted_;
    std::condition_variable job_left_;
    Job* jobs_ = nullptr; // those that still have free slots
    int workers_ = 0;
};

} // namespace medplug
