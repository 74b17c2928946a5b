#include "cli/signals.h"

#include <csignal>

namespace cli {
namespace {

std::atomic<bool> g_interrupted{false};  // the one thing a signal handler may touch

extern "C" void on_signal(int) { g_interrupted.store(true); }

void handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

const std::atomic<bool>& catch_signals() {
  handle(on_signal);
  return g_interrupted;
}

void release_signals() { handle(SIG_DFL); }

}  // namespace cli
