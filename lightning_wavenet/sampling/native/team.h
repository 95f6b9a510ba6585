// Threads that generate some of the streams together.
//
// The leader walks the residual layers; the others follow it with the skip sum, the head and the draw, each over its
// part of the outputs, while the leader goes ahead with the next sample's past taps. A thread alone does both in turn.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

#include "product.h"

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Waits for a counter to reach a value; gives the core away where that takes long, as when others want it too.
inline void wait_for(const std::atomic<int64_t>& counter, int64_t value) {
    for (int spins = 0; counter.load(std::memory_order_acquire) < value; spins++) {
        if (spins < 1024) relax();
        else std::this_thread::yield();
    }
}

// Threads that generate the streams first to last - 1.
struct alignas(64) Team {
    int first, last, threads;
    alignas(64) std::atomic<int64_t> layers_done{0};
    alignas(64) std::atomic<int64_t> samples_drawn{0};
    alignas(64) std::atomic<int64_t> arrivals{0}, followers_arrivals{0};

    int streams() const { return last - first; }
    int followers() const { return std::max(1, threads - 1); }
};

// One thread's place in a team.
struct Member {
    Team& team;
    int number;
    int64_t meetings = 0, followers_meetings = 0;

    bool leads() const { return number == 0; }
    bool follows() const { return number > 0 || team.threads == 1; }
    int follower() const { return std::max(0, number - 1); }

    // Barriers of all members, and of the followers alone.
    void meet() { wait(team.arrivals, ++meetings * team.threads); }
    void meet_followers() { wait(team.followers_arrivals, ++followers_meetings * team.followers()); }

    // A follower's part of a product: some inputs, and its panels of the outputs.
    template <class P>
    Part part(const Matrix<P>& matrix, int first_input, int inputs) const {
        return {first_input, inputs, share(matrix.panels(), follower()), share(matrix.panels(), follower() + 1)};
    }

    // y = max(y, 0), and the same as the input of a product, for the channels that this follower owns.
    template <class P>
    void rectify(Rows<float> y, Rows<typename P::Value> to, int width) const {
        const int panels = (width + PANEL - 1) / PANEL;
        const int low = std::min(width, share(panels, follower()) * PANEL);
        const int high = std::min(width, share(panels, follower() + 1) * PANEL);
        for (int r = 0; r < team.streams(); r++) {
            for (int c = low; c < high; c++) y[r][c] = std::max(y[r][c], 0.0f);
            P::convert(y[r] + low, to[r] + low, high - low);
        }
    }

private:
    int share(int panels, int which) const { return panels * which / team.followers(); }

    static void wait(std::atomic<int64_t>& arrivals, int64_t expected) {
        arrivals.fetch_add(1, std::memory_order_acq_rel);
        wait_for(arrivals, expected);
    }
};
