#include "tools/cli/interrupt.h"

#include <atomic>
#include <csignal>

#include "tools/cli/exit_status.h"

namespace lutra::tools {
namespace {

std::atomic<LanguageModel*> running{nullptr};
std::atomic<bool> cancelled{false};
std::atomic<int> ending{0};  // the signal that asked for it
static_assert(std::atomic<LanguageModel*>::is_always_lock_free &&
                  std::atomic<bool>::is_always_lock_free &&
                  std::atomic<int>::is_always_lock_free,
              "a signal handler may use only lock-free atomics");

extern "C" void CancelRunning(int) {
  cancelled = true;
  LanguageModel* const model = running.load();
  if (model != nullptr) model->Cancel();
}

extern "C" void RememberSignal(int signal) { ending = signal; }

}  // namespace

CancelOnInterrupt::CancelOnInterrupt(LanguageModel& model) {
  running = &model;
  cancelled = false;
  struct sigaction action = {};
  action.sa_handler = &CancelRunning;
  sigemptyset(&action.sa_mask);
  // Without SA_RESTART, so that waiting for input ends.
  sigaction(SIGINT, &action, nullptr);
}

CancelOnInterrupt::~CancelOnInterrupt() {
  std::signal(SIGINT, SIG_DFL);
  running = nullptr;
}

bool CancelOnInterrupt::Take() { return cancelled.exchange(false); }

EndOnInterrupt::EndOnInterrupt() {
  ending = 0;
  struct sigaction action = {};
  action.sa_handler = &RememberSignal;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    // Under nohup and in the background they stay ignored.
    if (before_[i].sa_handler == SIG_IGN) continue;
    sigaction(kSignals[i], &action, nullptr);
  }
}

EndOnInterrupt::~EndOnInterrupt() {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], &before_[i], nullptr);
  }
}

bool EndOnInterrupt::IsWanted() { return ending != 0; }

void EndOnInterrupt::Check() const {
  if (const int signal = ending; signal != 0) throw ExitStatus(128 + signal);
}

}  // namespace lutra::tools
