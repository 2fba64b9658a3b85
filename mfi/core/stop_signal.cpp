#include "mfi/core/stop_signal.h"

#include <csignal>

namespace mfi {

namespace {

volatile std::sig_atomic_t stop_signal = 0;

void on_stop(int signal) {
  if (stop_signal != 0) {
    // The second one: die of it, as without a handler. It is delivered when this function returns.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  stop_signal = signal;
}

}  // namespace

void install_stop_handlers() {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    struct sigaction action {};
    // nohup and background jobs of scripts ignore SIGINT on purpose; leave it so.
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = on_stop;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
  }
}

int stop_asked_for() { return stop_signal; }

void throw_stopped(int signal) {
  if (signal == SIGINT)
    throw Error(ExitCode::interrupted, "stopped by Ctrl-C (SIGINT); the same command goes on from what was saved");
  throw Error(ExitCode::terminated, signal == SIGUSR1
                                        ? "stopped by SIGUSR1; the same command goes on from what was saved"
                                        : "stopped by SIGTERM; the same command goes on from what was saved");
}

void throw_if_stopped() {
  if (stop_signal != 0) throw_stopped(stop_signal);
}

}  // namespace mfi
