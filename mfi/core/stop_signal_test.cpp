// Each test ends a child process: a stop, once asked for, stays.
#include "mfi/core/stop_signal.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace mfi {
namespace {

/// Runs `body` in a child; its wait status.
template <class Body>
int status_of_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

int exit_code_after(int signal) {
  const int status = status_of_child([&] {
    install_stop_handlers();
    throw_if_stopped();  // not yet
    raise(signal);
    try {
      throw_if_stopped();
    } catch (const Error& error) {
      _exit(static_cast<int>(error.exit_code()));
    }
  });
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StopSignal, CtrlCBecomesAnErrorWithItsExitCode) { EXPECT_EQ(exit_code_after(SIGINT), 130); }

TEST(StopSignal, TerminateBecomesAnErrorWithItsExitCode) { EXPECT_EQ(exit_code_after(SIGTERM), 143); }

TEST(StopSignal, ASecondSignalEndsTheProcessAtOnce) {
  const int status = status_of_child([] {
    install_stop_handlers();
    raise(SIGINT);
    usleep(600'000);
    raise(SIGTERM);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(StopSignal, TwiceInOneMomentIsOneStop) {
  const int status = status_of_child([] {
    install_stop_handlers();
    raise(SIGTERM);
    raise(SIGTERM);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(StopSignal, LeavesAnIgnoredCtrlCIgnored) {
  const int status = status_of_child([] {
    std::signal(SIGINT, SIG_IGN);
    install_stop_handlers();
    raise(SIGINT);
    throw_if_stopped();
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace mfi
