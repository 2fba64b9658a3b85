#include "mfi/core/stop_signal.h"

#include <csignal>
#include <ctime>
#include <string>

namespace mfi {

namespace {

volatile std::sig_atomic_t stop_signal = 0;
timespec first_time{};  // written before stop_signal, by the first signal alone

// A manager that signals all of a job's processes reaches a step twice, by itself and by way of its run. That is one
// wish and no second one.
constexpr double kOneWishSeconds = 0.5;

void on_stop(int signal) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);  // safe in a handler
  if (stop_signal != 0) {
    const double since = static_cast<double>(now.tv_sec - first_time.tv_sec) +
                         1e-9 * static_cast<double>(now.tv_nsec - first_time.tv_nsec);
    if (since < kOneWishSeconds) return;
    // The second one: die of it, as without a handler. It is delivered when this function returns.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  first_time = now;
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
  const std::string what = signal == SIGINT    ? "stopped by Ctrl-C (SIGINT)"
                           : signal == SIGUSR1 ? "stopped by SIGUSR1"
                                               : "stopped by SIGTERM";
  throw Error(signal == SIGINT ? ExitCode::interrupted : ExitCode::terminated,
              what + "; the same command goes on from what was saved, if anything was");
}

void throw_if_stopped() {
  if (stop_signal != 0) throw_stopped(stop_signal);
}

}  // namespace mfi
