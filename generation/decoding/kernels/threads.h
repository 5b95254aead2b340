// A few threads that share one loop at a time. Knows nothing of models.
//
// Indices are handed out one by one, so a thread that the system has put aside takes no work with it beyond the index
// it holds. Waiting threads look for work for some microseconds and then sleep: a loop must not spin against a
// neighbour that needs the core. Where threads have a priority of their own (Linux), helpers have a lower one than the
// thread they help: whoever answers an editor, or the tool that the model will wait for, gets their core at once. All
// the others would then wait for the one index of a helper that was put aside, so for a while there is a helper less.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

class Threads {
  public:
    explicit Threads(int count) {
        for (int number = 1; number < count; number++) helpers.emplace_back([this, number] { serve(number); });
    }

    ~Threads() {
        {
            std::lock_guard<std::mutex> guard(lock);
            ending = true;
        }
        wake.notify_all();
        for (auto& helper : helpers) helper.join();
    }

    int size() const { return (int)helpers.size() + 1; }

    // Calls body(index, thread) for every index < count; returns when all calls have returned.
    template <class Body>
    void each(int count, const Body& body) {
        const int helping = count > 1 ? wanted_helpers() : 0;
        if (!helping) {
            for (int index = 0; index < count; index++) body(index, 0);
            return;
        }
        const auto started = Clock::now();
        const std::function<void(int, int)> task = std::cref(body);
        {
            std::lock_guard<std::mutex> guard(lock);
            work = &task;
            total = count;
            last_helper = helping;
            next.store(0);
            round.fetch_add(1);
        }
        if (sleeping.load()) wake.notify_all();
        const int taken = take(task, count, 0);
        const auto done = Clock::now();
        // A helper registers under the lock before it takes an index; after this none can join the round any more.
        {
            std::lock_guard<std::mutex> guard(lock);
            work = nullptr;
        }
        for (int spins = 0; busy.load(std::memory_order_acquire); spins++) spins < spin_limit ? relax() : std::this_thread::yield();
        const auto now = Clock::now();
        if (now - done > longest_wait + 4 * (done - started) / std::max(taken, 1)) leave_out_one(now);
    }

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr int spin_limit = 2000, niceness = 5;
    static constexpr Clock::duration longest_wait = std::chrono::milliseconds(1),  // for a helper that is at work
        shortest_pause = std::chrono::milliseconds(10), longest_pause = std::chrono::milliseconds(80);

    // How many helpers a round should have: all but those left out, of whom one returns when its time is up.
    int wanted_helpers() {
        if (left_out && Clock::now() >= returns) {
            left_out--;
            returns += pause;
        }
        return (int)helpers.size() - left_out;
    }

    // The system needs the core of a helper for something else. If that goes on, it is left out for longer.
    void leave_out_one(Clock::time_point now) {
        pause = now < returns + pause ? std::min(2 * pause, longest_pause) : shortest_pause;
        returns = now + pause;
        left_out = std::min(left_out + 1, (int)helpers.size());
    }

    int take(const std::function<void(int, int)>& task, int count, int thread) {
        int taken = 0;
        for (int index; (index = next.fetch_add(1)) < count; taken++) task(index, thread);
        return taken;
    }

    static void stand_back() {
#if defined(__linux__)
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), getpriority(PRIO_PROCESS, 0) + niceness);
#endif
    }

    void serve(int number) {
        stand_back();
        unsigned seen = 0;
        while (true) {
            for (int spins = 0; spins < spin_limit && round.load(std::memory_order_acquire) == seen; spins++) relax();
            const std::function<void(int, int)>* task;
            int count;
            {
                std::unique_lock<std::mutex> guard(lock);
                sleeping.fetch_add(1);
                wake.wait(guard, [&] { return ending || round.load() != seen; });
                sleeping.fetch_sub(1);
                if (ending) return;
                seen = round.load();
                task = number <= last_helper ? work : nullptr;
                count = total;
                if (task) busy.fetch_add(1);
            }
            if (task) {
                take(*task, count, number);
                busy.fetch_sub(1, std::memory_order_release);
            }
        }
    }

    std::vector<std::thread> helpers;
    std::mutex lock;
    std::condition_variable wake;
    std::atomic<unsigned> round{0};
    std::atomic<int> next{0}, busy{0}, sleeping{0};
    const std::function<void(int, int)>* work = nullptr;
    int total = 0, last_helper = 0;
    int left_out = 0;  // helpers, of those that come last
    Clock::duration pause = shortest_pause;
    Clock::time_point returns{};
    bool ending = false;
};
