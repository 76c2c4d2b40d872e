// crossing_load: many client sessions of many tenants through the program under test, each with a
// model of what it must see. Closes with one line: N passed, N failed, N skipped, by kinds of
// operation. See run.py, which starts what it needs.
#include <getopt.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "client.h"

namespace pgsidecar::crossing {
namespace {

using steady = std::chrono::steady_clock;

// Some of the clients, on one thread.
class crowd {
  public:
    crowd(run_state& run, world& all, int first, int count)
        : epoll_{::epoll_create1(EPOLL_CLOEXEC)} {
        for (int i = 0; i < count; ++i) members_.emplace_back(run, all, first + i);
        for (auto& one : members_) watch(one);
    }
    crowd(const crowd&) = delete;
    crowd& operator=(const crowd&) = delete;
    ~crowd() { ::close(epoll_); }

    void run(const std::atomic<bool>& given_up) {
        std::vector<epoll_event> events(256);
        while (live_ > 0 && !given_up) {
            const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 200);
            for (int i = 0; i < n; ++i) {
                const auto& e = events[static_cast<std::size_t>(i)];
                auto& one = *static_cast<watched*>(e.data.ptr);
                if (one.who.finished()) continue;
                one.who.on_event((e.events & static_cast<unsigned>(~EPOLLOUT)) != 0);
                watch(one);
            }
        }
    }

    void describe() const {
        for (const auto& one : members_)
            if (!one.who.finished()) std::printf("  %s\n", one.who.description().c_str());
    }

  private:
    struct watched {
        watched(run_state& run, world& all, int number) : who{run, all, number} {}
        client who;
        std::uint64_t connection = 0;
        bool sends = false;
    };

    void watch(watched& one) {
        if (one.who.finished()) {
            if (one.connection != 0) --live_;
            one.connection = 0;
            return;
        }
        const bool anew = one.connection != one.who.connection();
        if (!anew && one.sends == one.who.wants_to_send()) return;
        if (one.connection == 0) ++live_;
        one.connection = one.who.connection();
        one.sends = one.who.wants_to_send();
        epoll_event e{};
        e.events = EPOLLIN | (one.sends ? static_cast<unsigned>(EPOLLOUT) : 0U);
        e.data.ptr = &one;
        (void)::epoll_ctl(epoll_, anew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, one.who.fd(), &e);
    }

    int epoll_;
    int live_ = 0;
    std::deque<watched> members_;
};

double seconds_since(steady::time_point then) {
    return std::chrono::duration<double>(steady::now() - then).count();
}

// Until all is done; true: the clients came to no end. That is counted in looks and not in time,
// for this program may have been stopped for a while.
bool supervise(run_state& run, const std::atomic<int>& at_work, steady::time_point began) {
    auto told = began;
    constexpr std::chrono::milliseconds pause{50};
    auto unmoved = pause * 0;
    std::uint64_t before = 0;
    while (at_work > 0) {
        std::this_thread::sleep_for(pause);
        const auto done = run.done.load();
        unmoved = done == before ? unmoved + pause : pause * 0;
        before = done;
        if (run.opt.seconds > 0 && seconds_since(began) > run.opt.seconds) run.stopping = true;
        if (unmoved > std::chrono::seconds{run.opt.stall}) return true;
        if (seconds_since(told) >= 10) {
            told = steady::now();
            const std::lock_guard lock{run.talking};
            std::printf("%llu operations in %.0f s (%.0f/s), %d mismatches\n",
                        static_cast<unsigned long long>(done), seconds_since(began),
                        static_cast<double>(done) / seconds_since(began), run.mismatches.load());
            (void)std::fflush(stdout);
        }
    }
    return false;
}

int sum_up(run_state& run, world& all, bool stalled) {
    int passed = 0, failed = stalled ? 1 : 0, skipped = 0;
    for (std::size_t i = 0; i < kind_count; ++i) {
        const auto good = run.good[i].load(), bad = run.bad[i].load();
        std::printf("%-26s %10llu %s\n", std::string{kind_names[i]}.c_str(),
                    static_cast<unsigned long long>(good), bad > 0 ? "MISMATCH" : "");
        ++(bad > 0 ? failed : good > 0 ? passed : skipped);
    }
    const auto wrong = all.final_check(run.unknown || stalled);
    for (const auto& line : wrong) std::printf("FAIL  in the end: %s\n", line.c_str());
    ++(wrong.empty() ? passed : failed);
    std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed == 0 ? 0 : 1;
}

int go(const options& opt) {
    world all{opt.direct_port};
    run_state run;
    run.opt = opt;
    const auto began = steady::now();
    std::deque<crowd> crowds;
    const int each = opt.clients / opt.threads;
    for (int i = 0; i < opt.threads; ++i) crowds.emplace_back(run, all, i * each, each);
    std::atomic<int> at_work{opt.threads};
    std::atomic<bool> given_up{false};
    std::vector<std::thread> threads;
    for (auto& one : crowds)
        threads.emplace_back([&] {
            one.run(given_up);
            --at_work;
        });
    const bool stalled = supervise(run, at_work, began);
    given_up = true;
    for (auto& one : threads) one.join();
    if (stalled) {
        std::printf("FAIL  nothing has moved for %d s:\n", opt.stall);
        for (const auto& one : crowds) one.describe();
    }
    const auto took = seconds_since(began);
    std::printf("seed %llu: %llu operations in %.0f s (%.0f/s), %d clients\n",
                static_cast<unsigned long long>(opt.seed),
                static_cast<unsigned long long>(run.done.load()), took,
                static_cast<double>(run.done.load()) / took, opt.clients);
    return sum_up(run, all, stalled);
}

options read_options(int argc, char** argv) {
    options opt;
    const option known[] = {{"port", required_argument, nullptr, 'p'},
                            {"direct-port", required_argument, nullptr, 'd'},
                            {"seed", required_argument, nullptr, 's'},
                            {"operations", required_argument, nullptr, 'n'},
                            {"seconds", required_argument, nullptr, 't'},
                            {"clients", required_argument, nullptr, 'c'},
                            {"threads", required_argument, nullptr, 'j'},
                            {"stall", required_argument, nullptr, 'w'},
                            {nullptr, 0, nullptr, 0}};
    for (int o = 0; (o = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        if (o == '?') throw std::invalid_argument("see main.cpp for the options");
        const auto n = std::strtoull(optarg, nullptr, 10);
        switch (o) {
            case 'p':
                opt.port = static_cast<std::uint16_t>(n);
                break;
            case 'd':
                opt.direct_port = static_cast<std::uint16_t>(n);
                break;
            case 's':
                opt.seed = n;
                break;
            case 'n':
                opt.operations = n;
                break;
            case 't':
                opt.seconds = static_cast<int>(n);
                break;
            case 'c':
                opt.clients = static_cast<int>(n);
                break;
            case 'j':
                opt.threads = static_cast<int>(n);
                break;
            default:
                opt.stall = static_cast<int>(n);
        }
    }
    return opt;
}

}  // namespace
}  // namespace pgsidecar::crossing

int main(int argc, char** argv) {
    try {
        return pgsidecar::crossing::go(pgsidecar::crossing::read_options(argc, argv));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "crossing_load: %s\n0 passed, 1 failed, 0 skipped\n", e.what());
        return 1;
    }
}
