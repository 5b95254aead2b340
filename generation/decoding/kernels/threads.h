// A few threads that share one loop at a time. Knows nothing of models.
//
// Indices are handed out one by one, so a thread that the system has put aside takes no work with it beyond the index
// it holds. Waiting threads look for work for some microseconds and then sleep: a loop must not spin against a
// neighbour that needs the core. Where threads have a priority of their own (Linux), helpers have a lower one than the
// thread they help: whoever answers an editor, or the tool that the model will wait for, gets their core at once.
#pragma once

#include <atomic>
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
        if (helpers.empty() || count <= 1) {
            for (int index = 0; index < count; index++) body(index, 0);
            return;
        }
        const std::function<void(int, int)> task = std::cref(body);
        {
            std::lock_guard<std::mutex> guard(lock);
            work = &task;
            total = count;
            next.store(0);
            round.fetch_add(1);
        }
        if (sleeping.load()) wake.notify_all();
        take(task, count, 0);
        // A helper registers under the lock before it takes an index; after this none can join the round any more.
        {
            std::lock_guard<std::mutex> guard(lock);
            work = nullptr;
        }
        for (int spins = 0; busy.load(std::memory_order_acquire); spins++) spins < spin_limit ? relax() : std::this_thread::yield();
    }

  private:
    static constexpr int spin_limit = 2000, niceness = 5;

    void take(const std::function<void(int, int)>& task, int count, int thread) {
        for (int index; (index = next.fetch_add(1)) < count;) task(index, thread);
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
                task = work;
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
    int total = 0;
    bool ending = false;
};
