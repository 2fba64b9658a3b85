// A step that runs in a process of its own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mfi {

/// Processors that this process may use, ascending.
std::vector<int> allowed_cpus();

/// A child process on processors of its own, whose standard error is read line by line.
///
/// It reads nothing and its standard output goes nowhere. It is in a process group of its own, so a
/// terminal's Ctrl-C does not reach it twice, and the kernel kills it when the thread that started it
/// ends, however that happens.
class StepProcess {
 public:
  /// command: a program's file and its arguments. threads: its OMP_NUM_THREADS.
  /// Throws IoError when no process can be started.
  StepProcess(std::vector<std::string> command, const std::vector<int>& cpus, int64_t threads);

  /// Ends the process when it still runs: asks, and after ten seconds no longer asks.
  ~StepProcess();
  StepProcess(const StepProcess&) = delete;
  StepProcess& operator=(const StepProcess&) = delete;

  /// To poll for more lines.
  int descriptor() const { return descriptor_; }

  /// Passes on the lines that have come, without waiting for more than one read. False at the end of
  /// all lines, which is the process's end.
  bool read_lines(const std::function<void(const std::string& line)>& on_line);

  void send(int signal) const;

  /// Waits for the end. The exit code, or minus the signal that it died of.
  int wait();

 private:
  pid_t process_ = -1;
  int descriptor_ = -1;
  std::string unfinished_;  // the begin of a line
};

}  // namespace mfi
