// Who of several processes is still there.
#pragma once

#include "mfi/core/torch.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "mfi/core/error.h"

namespace mfi {

struct WatchSettings {
  std::chrono::milliseconds beat{1000};    // between two signs of life
  std::chrono::milliseconds limit{15000};  // of silence, until a process is lost
  // The same once an exchange with some process has failed: one is lost, it only remains to see which.
  std::chrono::milliseconds limit_after_failure{5000};
  std::chrono::milliseconds patience{8000};  // with our own main thread, from the verdict to the last resort
};

/// Counts up a number of this process in the store, once a beat, and looks at those of the others; both on
/// threads of their own, so that a long computation is no silence, and a store that does not answer is
/// noticed. A process that is killed, frozen or cut off stops counting.
///
/// When one is lost, or says that it has failed, there is a verdict: an error that names it. The main
/// thread finds it by throw_if_lost(); should it do nothing for `patience`, stuck in a system call or a
/// long computation, `last_resort` is called on a thread of the watch, and must end the process.
class Watch {
 public:
  /// store: a connection for the watch alone; all processes' keys are in it (see prepare). names: of the
  /// processes by rank, "process 1 on node7". holder: who holds the store, for messages.
  Watch(c10::intrusive_ptr<c10d::Store> store, int64_t rank, std::vector<std::string> names, std::string holder,
        const WatchSettings& settings, std::function<void(const PeerError&)> last_resort);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Puts a process's keys into the store. All must have done so before the first Watch starts.
  static void prepare(c10d::Store& store, int64_t rank);

  /// Throws PeerError when there is a verdict.
  void throw_if_lost() const;

  /// To be called when an exchange with the others has failed, for instance as `what` says: waits for the
  /// verdict and throws it; where none comes, an error that says `what`.
  [[noreturn]] void throw_verdict(const std::string& what);

  /// Tells the others that this process ends because of an error, and waits a little until they know.
  void say_farewell(ExitCode code, const std::string& message);

  /// Ends the threads; waits a little for them. After it there is no verdict any more.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the threads, which may be stuck in the network
};

}  // namespace mfi
