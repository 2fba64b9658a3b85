#include "mfi/pipeline/step_process.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "mfi/core/atomic_file.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::ElementsAre;

std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

std::vector<std::string> all_lines(StepProcess& process) {
  std::vector<std::string> out;
  while (process.read_lines([&](const std::string& line) { out.push_back(line); })) continue;
  return out;
}

TEST(StepProcess, PassesOnTheLinesOfStandardErrorAlone) {
  StepProcess process(shell("echo one >&2; echo nowhere; printf 'two\nthree' >&2"), allowed_cpus(), 1);
  EXPECT_THAT(all_lines(process), ElementsAre("one", "two", "three"));
  EXPECT_EQ(process.wait(), 0);
}

TEST(StepProcess, GivesItsExitCodeOrItsSignal) {
  StepProcess code(shell("exit 76"), allowed_cpus(), 1), killed(shell("kill -9 $$"), allowed_cpus(), 1);
  EXPECT_EQ(code.wait(), 76);
  EXPECT_EQ(killed.wait(), -SIGKILL);
}

TEST(StepProcess, HasItsThreadsAndItsProcessors) {
  const int cpu = allowed_cpus().back();
  setenv("OMP_PLACES", "{0}", 1);
  StepProcess process(shell("echo $OMP_NUM_THREADS ${OMP_PLACES-none} >&2; "
                            "sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status >&2"),
                      {cpu}, 3);
  unsetenv("OMP_PLACES");
  EXPECT_THAT(all_lines(process), ElementsAre("3 none", std::to_string(cpu)));
}

TEST(StepProcess, SaysWhenThereIsNoProgramToStart) {
  StepProcess process({"/no/such/program"}, allowed_cpus(), 1);
  EXPECT_THAT(all_lines(process), ElementsAre(testing::StartsWith("mfi: ")));
  EXPECT_EQ(process.wait(), 70);
}

// A handler of ours that the child still has before its exec would swallow the signal.
TEST(StepProcess, CanBeStoppedFromTheFirstInstant) {
  const pid_t tester = fork();
  if (tester == 0) {
    install_stop_handlers();
    for (int i = 0; i < 50; ++i) {
      StepProcess process(shell("exec sleep 60"), allowed_cpus(), 1);
      process.send(SIGTERM);
      if (process.wait() != -SIGTERM) _exit(1);
    }
    _exit(0);
  }
  int status = -1;
  waitpid(tester, &status, 0);
  EXPECT_EQ(status, 0);
}

bool is_alive(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string id, name, state;
  return (file >> id >> name >> state) && state != "Z";  // a zombie waits for whoever adopts it
}

TEST(StepProcess, DiesWithTheProcessThatStartedIt) {
  TestFolder folder;
  const auto file = folder / "child";
  const pid_t parent = fork();
  if (parent == 0) {
    StepProcess process(shell("echo $$ >" + file.string() + ".part; mv " + file.string() + ".part " + file.string() +
                              "; exec sleep 60"),
                        allowed_cpus(), 1);
    for (;;) pause();
  }
  while (!std::filesystem::exists(file)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const pid_t child = static_cast<pid_t>(std::stol(read_file(file)));
  EXPECT_TRUE(is_alive(child));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  for (int i = 0; i < 5000 && is_alive(child); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_FALSE(is_alive(child));
}

TEST(StepProcess, IsEndedWhenItIsNoLongerWanted) {
  TestFolder folder;
  pid_t child = 0;
  {
    StepProcess process(shell("echo $$ >&2; exec sleep 60"), allowed_cpus(), 1);
    process.read_lines([&](const std::string& line) { child = static_cast<pid_t>(std::stol(line)); });
    EXPECT_TRUE(is_alive(child));
  }
  EXPECT_FALSE(is_alive(child));
}

}  // namespace
}  // namespace mfi
