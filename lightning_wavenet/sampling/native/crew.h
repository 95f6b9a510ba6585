// Threads that are kept from one call to the next: starting them takes as long as some hundred samples.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

#include "team.h"

class Crew {
public:
    ~Crew() { leave_to_parent(); }

    // How many threads there are for a job, the calling one included: as many as are wanted, or as the system grants.
    int hire(int wanted) {
        leave_to_parent();
        if (!pool_) pool_ = std::make_unique<Pool>();
        return pool_->grow(wanted);
    }

    // Runs job(0) on this thread, and job(1) to job(count - 1) on those that were hired.
    void run(int count, const std::function<void(int)>& job) { pool_->run(count, job); }

private:
    class Pool {
    public:
        ~Pool() {
            call(0, nullptr);
            for (std::thread& thread : threads_) thread.join();
        }

        int grow(int wanted) {
            try {
                for (int n = int(threads_.size()) + 1; n < wanted; n++)
                    threads_.emplace_back([this, n, calls = calls_.load()] { serve(n, calls); });
            } catch (const std::system_error&) {
                // So many it is.
            }
            return std::min(wanted, int(threads_.size()) + 1);
        }

        void run(int count, const std::function<void(int)>& job) {
            const int64_t answers = answers_.load() + int64_t(threads_.size());
            if (count > 1) call(count, &job);
            job(0);
            if (count > 1) wait_for(answers_, answers);
        }

    private:
        // Wakes all threads; null ends them.
        void call(int count, const std::function<void(int)>* job) {
            {
                const std::lock_guard<std::mutex> lock(mutex_);
                count_ = count;
                job_ = job;
                calls_.fetch_add(1, std::memory_order_release);
            }
            called_.notify_all();
        }

        void serve(int number, int64_t calls) {
            while (true) {
                // Where calls follow closely, a thread that slept would be late for each.
                for (int spins = 0; calls_.load(std::memory_order_acquire) == calls && spins < 1024; spins++) relax();
                const std::function<void(int)>* job;
                int count;
                {
                    std::unique_lock<std::mutex> lock(mutex_);
                    called_.wait(lock, [&] { return calls_.load() != calls; });
                    calls = calls_.load();
                    job = job_;
                    count = count_;
                }
                if (!job) return;
                if (number < count) (*job)(number);
                answers_.fetch_add(1, std::memory_order_acq_rel);
            }
        }

        std::mutex mutex_;
        std::condition_variable called_;
        std::atomic<int64_t> calls_{0}, answers_{0};
        const std::function<void(int)>* job_ = nullptr;
        int count_ = 0;
        std::vector<std::thread> threads_;
    };

    // A process that was forked has none of the threads of its parent, and must not wait for them.
    void leave_to_parent() {
        if (pid_ != getpid()) static_cast<void>(pool_.release());
        pid_ = getpid();
    }

    pid_t pid_ = getpid();
    std::unique_ptr<Pool> pool_;
};
