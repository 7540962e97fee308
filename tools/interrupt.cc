#include "tools/interrupt.h"

#include <atomic>
#include <csignal>

namespace lutra::tools {
namespace {

std::atomic<LanguageModel*> running{nullptr};
static_assert(std::atomic<LanguageModel*>::is_always_lock_free,
              "a signal handler may use only lock-free atomics");

extern "C" void CancelRunning(int) {
  LanguageModel* const model = running.load();
  if (model != nullptr) model->Cancel();
}

}  // namespace

CancelOnInterrupt::CancelOnInterrupt(LanguageModel& model) {
  running = &model;
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

}  // namespace lutra::tools
