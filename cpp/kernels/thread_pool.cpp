#include "thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#ifndef _WIN32
#include <unistd.h>
#endif

namespace medplug {

namespace {

long process_id() noexcept {
#ifdef _WIN32
    return 0; // no fork there
#else
    return static_cast<long>(getpid());
#endif
}

struct Owned {
    ThreadPool pool;
    long process = process_id();
};

} // namespace

struct ThreadPool::Job {
    const void* context;
    Call call;
    std::int64_t items;
    int slots;
    std::int64_t together; // as many are taken at once: x86 counts up only when all stores before are done
    std::atomic<std::int64_t> next_item{0};
    int next_slot = 1; // slot 0 is the caller's
    int active = 0;    // workers inside
    Job* next_job = nullptr;

    void work(int slot) noexcept {
        for (std::int64_t first; (first = next_item.fetch_add(together, std::memory_order_relaxed)) < items;) {
            for (std::int64_t item = first; item < std::min(first + together, items); ++item) {
                call(context, item, slot);
            }
        }
    }
};

// Pools are never freed. A parent's pool may be forked with its mutex held, and workers must outlive static
// destruction; both are safe only if nobody ever touches the old one again.
ThreadPool& ThreadPool::instance() {
    static std::atomic<Owned*> current{nullptr};
    Owned* owned = current.load(std::memory_order_acquire);
    if (owned == nullptr || owned->process != process_id()) {
        auto* fresh = new Owned;
        if (current.compare_exchange_strong(owned, fresh, std::memory_order_acq_rel)) {
            owned = fresh;
        } else {
            delete fresh;
        }
    }
    return owned->pool;
}

void ThreadPool::run_erased(std::int64_t items, int threads, const void* context, Call call) noexcept {
    constexpr std::int64_t turns = 64; // of each thread, so that all end at about the same time
    const int slots = static_cast<int>(std::min<std::int64_t>(threads, items));
    Job job{context, call, items, slots, std::max<std::int64_t>(1, items / (turns * slots))};
    {
        const std::lock_guard lock(mutex_);
        start_workers(job.slots - 1);
        job.next_job = jobs_;
        jobs_ = &job;
        job_posted_.notify_all();
    }
    job.work(0);
    std::unique_lock lock(mutex_);
    unlink(&job);
    job_left_.wait(lock, [&job] { return job.active == 0; });
}

void ThreadPool::start_workers(int wanted) noexcept {
    try {
        for (; workers_ < wanted; ++workers_) {
            std::thread([this] { serve(); }).detach();
        }
    } catch (const std::exception&) {
        // The system gives no more threads: those that exist, the caller at least, do the work.
    }
}

void ThreadPool::serve() noexcept {
    std::unique_lock lock(mutex_);
    for (;;) {
        job_posted_.wait(lock, [this] { return jobs_ != nullptr; });
        Job* job = jobs_;
        const int slot = job->next_slot++;
        if (job->next_slot == job->slots) {
            unlink(job);
        }
        ++job->active;
        lock.unlock();
        job->work(slot);
        lock.lock();
        if (--job->active == 0) {
            job_left_.notify_all();
        }
    }
}

void ThreadPool::unlink(Job* job) noexcept {
    for (Job** link = &jobs_; *link != nullptr; link = &(*link)->next_job) {
        if (*link == job) {
            *link = job->next_job;
            return;
        }
    }
}

} // namespace medplug
