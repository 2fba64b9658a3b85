// Runs the built program as a user would; for the tests of this folder.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace mfi {

namespace fs = std::filesystem;

inline std::string file_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

/// A folder that is gone after the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "mfi-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct Ended {
  int exit_code = -1;  // 128 + the signal when it died of one, as a shell has it
  std::string out, error;
};

/// The program with these arguments, in a folder of its own for what it writes.
class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments,
                   const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    process_ = fork();
    if (process_ == 0) {
      std::signal(SIGINT, SIG_DFL);  // ignored where the tests run in the background of a shell
      redirect(STDOUT_FILENO, "out");
      redirect(STDERR_FILENO, "error");
      unsetenv("MFI_DATA");
      for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
      std::vector<char*> words{const_cast<char*>(MFI_PROGRAM)};
      for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
      words.push_back(nullptr);
      execv(MFI_PROGRAM, words.data());
      _exit(127);
    }
  }

  void send(int signal) const { kill(process_, signal); }

  /// Waits until `file` exists; false when the program has ended or a minute has passed before.
  bool wait_for(const fs::path& file) const {
    return wait_until([&] { return fs::exists(file); });
  }

  /// The same until it has written `text` to standard error.
  bool wait_for_error(const std::string& text) const {
    const auto file = output_.path() / "error";
    return wait_until([&] { return fs::exists(file) && file_text(file).find(text) != std::string::npos; });
  }

  Ended wait() {
    int status = 0;
    waitpid(process_, &status, 0);
    Ended out;
    out.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    out.out = file_text(output_.path() / "out");
    out.error = file_text(output_.path() / "error");
    return out;
  }

 private:
  template <class Condition>
  bool wait_until(const Condition& condition) const {
    for (int i = 0; i < 60'000; ++i) {
      if (condition()) return true;
      siginfo_t info{};
      if (waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
        return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  void redirect(int descriptor, const char* name) const {
    const int file = open((output_.path() / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || dup2(file, descriptor) < 0) _exit(126);
  }

  TemporaryFolder output_;
  pid_t process_ = -1;
};

inline Ended run_program(const std::vector<std::string>& arguments,
                         const std::vector<std::pair<std::string, std::string>>& environment = {}) {
  return Program(arguments, environment).wait();
}

}  // namespace mfi
