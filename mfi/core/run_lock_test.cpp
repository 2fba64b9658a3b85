#include "mfi/core/run_lock.h"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <optional>
#include <thread>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::HasSubstr;

/// Another process that holds the lock from construction until `kill_it`.
class Holder {
 public:
  explicit Holder(const std::filesystem::path& folder, const LockOptions& options = {}) {
    std::array<int, 2> ready{};
    if (pipe(ready.data()) != 0) throw std::runtime_error("pipe");
    id_ = fork();
    if (id_ == 0) {
      const RunLock lock(folder, options);
      if (write(ready[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) throw std::runtime_error("the holder did not start");
    close(ready[0]);
    close(ready[1]);
  }
  ~Holder() { kill_it(); }
  pid_t id() const { return id_; }
  void kill_it() {
    if (id_ <= 0) return;
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
    id_ = -1;
  }

 private:
  pid_t id_ = -1;
};

TEST(RunLock, NamesTheProcessThatHoldsIt) {
  TestFolder folder;
  const Holder holder(folder.path());
  EXPECT_THAT(
      message_of<BusyError>([&] { RunLock lock(folder.path()); }),
      testing::AllOf(HasSubstr(folder.path().string()), HasSubstr("process " + std::to_string(holder.id()) + " on ")));
}

TEST(RunLock, IsFreeAfterItsOwnerWasKilled) {
  TestFolder folder;
  Holder holder(folder.path());
  holder.kill_it();
  EXPECT_NO_THROW(RunLock lock(folder.path()));
}

TEST(RunLock, IsFreeAfterItsScope) {
  TestFolder folder;
  { const RunLock lock(folder.path()); }
  EXPECT_NO_THROW(RunLock lock(folder.path()));
}

TEST(RunLock, IsRefusedWithinTheSameProcessToo) {
  TestFolder folder;
  const RunLock lock(folder.path());
  EXPECT_THROW(RunLock second(folder.path()), BusyError);
}

TEST(LookAtLock, TellsWhetherAndByWhomItIsHeld) {
  TestFolder folder;
  EXPECT_FALSE(look_at_lock(folder.path()).held);
  EXPECT_EQ(look_at_lock(folder.path()).owner, "");
  EXPECT_FALSE(std::filesystem::exists(folder / ".lock")) << "a look writes nothing";
  Holder holder(folder.path());
  EXPECT_TRUE(look_at_lock(folder.path()).held);
  EXPECT_THAT(look_at_lock(folder.path()).owner,
              testing::StartsWith("process " + std::to_string(holder.id()) + " on "));
  holder.kill_it();
  EXPECT_FALSE(look_at_lock(folder.path()).held);
  EXPECT_THAT(look_at_lock(folder.path()).owner, HasSubstr("process "));
}

TEST(LookAtLock, DoesNotCountThoseThatShareIt) {
  TestFolder folder;
  const Holder holder(folder.path(), {.shared = true});
  EXPECT_FALSE(look_at_lock(folder.path()).held);
}

TEST(RunLock, CanBeSharedByThoseThatShareIt) {
  TestFolder folder;
  const Holder holder(folder.path(), {.shared = true});
  EXPECT_NO_THROW(RunLock lock(folder.path(), {.shared = true}));
  EXPECT_THAT(message_of<BusyError>([&] { RunLock lock(folder.path()); }), HasSubstr("which runs one of its steps"));
}

TEST(RunLock, KeepsThoseThatShareOutWhenHeldAlone) {
  TestFolder folder;
  const Holder holder(folder.path());
  EXPECT_THROW(RunLock lock(folder.path(), {.shared = true}), BusyError);
}

TEST(RunLock, HoldsForTheProcessesThatItsOwnerStarted) {
  TestFolder folder;
  const RunLock lock(folder.path());
  const auto refused = [&](const LockOptions& options) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        const RunLock inner(folder.path(), options);
      } catch (const BusyError&) {
        _exit(1);
      }
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status != 0;
  };
  EXPECT_FALSE(refused({.shared = true, .parents_will_do = true}));
  EXPECT_TRUE(refused({.shared = true}));
}

TEST(RunLock, IsNotTheParentsWhenAStrangerHoldsIt) {
  TestFolder folder;
  const Holder holder(folder.path());
  EXPECT_THROW(RunLock lock(folder.path(), {.shared = true, .parents_will_do = true}), BusyError);
}

TEST(RunLock, WaitsForAnOwnerThatEndsInTime) {
  TestFolder folder;
  auto first = std::make_optional<RunLock>(folder.path());
  std::thread owner([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    first.reset();
  });
  EXPECT_NO_THROW(RunLock lock(folder.path(), {.patience_seconds = 60}));
  owner.join();
}

TEST(RunLock, SaysWhyItCannotBeMade) {
  TestFolder folder;
  replace_file(folder / "file", "");
  EXPECT_THAT(message_of<CannotWriteError>([&] { RunLock lock(folder / "file"); }), HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace mfi
