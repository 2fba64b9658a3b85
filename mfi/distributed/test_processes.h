// Several processes on this machine, for the tests of this room and those above it.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <vector>

#include "mfi/core/torch.h"
#include "mfi/distributed/processes.h"

namespace mfi {

/// A TCP port that nobody listens on.
inline int64_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(socket, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    throw std::runtime_error("no free port");
  ::close(socket);
  return ntohs(address.sin_port);
}

inline ProcessPlace test_place(int64_t rank, int64_t size, int64_t port) {
  return {rank, size, rank, "127.0.0.1", port, false, "test", "torchrun"};
}

/// Runs `body` in `size` forked processes that have joined, all with one compute thread, and returns their
/// exit codes: 0; 1 after a failed expectation; the code of the Error that left the body; -SIGNAL.
/// The parent must not have computed anything in parallel before: threads do not survive a fork.
inline std::vector<int> run_processes(int64_t size, const std::function<void(Processes&)>& body,
                                      const JoinSettings& settings = {}) {
  const int64_t port = free_port();
  std::vector<pid_t> children;
  for (int64_t rank = 0; rank < size; ++rank) {
    std::fflush(nullptr);
    children.push_back(::fork());
    if (children.back() != 0) continue;
    int code = 0;
    try {
      at::set_num_threads(1);
      const auto processes = Processes::join(
          test_place(rank, size, port),
          [](const PeerError& error) {
            std::fprintf(stderr, "last resort: %s\n", error.what());
            ::_exit(99);
          },
          settings);
      try {
        body(*processes);
        processes->finish();
      } catch (const Error& error) {
        processes->say_farewell(error);
        throw;
      }
    } catch (const Error& error) {
      std::fprintf(stderr, "process %d: %s\n", static_cast<int>(rank), error.what());
      code = static_cast<int>(error.exit_code());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "process %d: %s\n", static_cast<int>(rank), error.what());
      code = 98;
    }
    std::fflush(nullptr);
    ::_exit(testing::Test::HasFailure() ? 1 : code);
  }
  std::vector<int> codes;
  for (const auto child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  }
  return codes;
}

}  // namespace mfi
