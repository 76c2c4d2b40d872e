#include "proxy/io/interruption.h"

#include <atomic>
#include <csignal>

namespace pgsidecar::io {
namespace {

constexpr std::array numbers{SIGINT, SIGTERM};

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // a handler may do no more

void remember(int) {
    interrupted = true;
    for (const int number : numbers) (void)std::signal(number, SIG_DFL);
}

}  // namespace

interruption::interruption() noexcept {
    interrupted = false;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        before_[i] = std::signal(numbers[i], remember);
        if (before_[i] == SIG_IGN) (void)std::signal(numbers[i], SIG_IGN);
    }
}

interruption::~interruption() {
    for (std::size_t i = 0; i < numbers.size(); ++i)
        if (before_[i] != SIG_ERR) (void)std::signal(numbers[i], before_[i]);
}

bool interruption::came() noexcept { return interrupted; }

}  // namespace pgsidecar::io
