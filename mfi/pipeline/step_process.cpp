#include "mfi/pipeline/step_process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string_view>
#include <thread>

#include "mfi/core/error.h"

namespace mfi {
namespace {

constexpr int kMostCpus = 8192;  // as many as any Linux kernel is built for

/// A set of processors of any number; cpu_set_t ends at 1024.
struct CpuSet {
  CpuSet() { CPU_ZERO_S(bytes, set.get()); }
  size_t bytes = CPU_ALLOC_SIZE(kMostCpus);
  struct Free {
    void operator()(cpu_set_t* cpus) const { CPU_FREE(cpus); }
  };
  std::unique_ptr<cpu_set_t, Free> set{CPU_ALLOC(kMostCpus)};
};

// This process's environment, with the thread count of the child. Places that the user chose for one
// program would put all the children onto the same processors.
std::vector<std::string> child_environment(int64_t threads) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    bool keep = true;
    for (const char* name : {"OMP_NUM_THREADS=", "OMP_PLACES=", "OMP_PROC_BIND=", "GOMP_CPU_AFFINITY="})
      keep = keep && !text.starts_with(name);
    if (keep) out.emplace_back(text);
  }
  out.push_back("OMP_NUM_THREADS=" + std::to_string(threads));
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::vector<int> allowed_cpus() {
  CpuSet cpus;
  std::vector<int> out;
  if (sched_getaffinity(0, cpus.bytes, cpus.set.get()) == 0)
    for (int cpu = 0; cpu < kMostCpus; ++cpu)
      if (CPU_ISSET_S(cpu, cpus.bytes, cpus.set.get())) out.push_back(cpu);
  if (out.empty())  // the kernel does not tell
    for (unsigned cpu = 0; cpu < std::max(1u, std::thread::hardware_concurrency()); ++cpu)
      out.push_back(static_cast<int>(cpu));
  return out;
}

StepProcess::StepProcess(std::vector<std::string> command, const std::vector<int>& cpus, int64_t threads) {
  // All that allocates is done before the fork: other threads of ours may hold the heap's lock.
  auto environment = child_environment(threads);
  const auto arguments = pointers(command), variables = pointers(environment);
  CpuSet mine;
  for (const int cpu : cpus) CPU_SET_S(cpu, mine.bytes, mine.set.get());
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw IoError(std::string("no pipe for a step: ") + std::strerror(errno));

  // A stop that comes before the exec must not end in the handler that the child still has from us.
  sigset_t stops, before;
  sigemptyset(&stops);
  sigaddset(&stops, SIGINT);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &stops, &before);
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ == 0) {
    // SIGKILL, not a polite signal: a step that does not end would hold its processors for ever. What
    // it loses is the epoch at hand, as with any stop.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(static_cast<int>(ExitCode::terminated));  // it died before that call
    setpgid(0, 0);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
      struct sigaction action {};
      if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) ::signal(signal, SIG_DFL);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    sched_setaffinity(0, mine.bytes, mine.set.get());  // without it a step is slow, not wrong
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execve(arguments[0], arguments.data(), variables.data());
    constexpr std::string_view text = "mfi: the program cannot be started again for a step\n";
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
    _exit(static_cast<int>(ExitCode::internal));
  }
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  close(ends[1]);
  descriptor_ = ends[0];
  if (process_ < 0) {
    close(descriptor_);
    throw IoError(std::string("no process for a step: ") + std::strerror(error));
  }
}

StepProcess::~StepProcess() {
  if (process_ > 0) {
    send(SIGTERM);
    for (int i = 0; i < 1000 && process_ > 0; ++i) {
      if (waitpid(process_, nullptr, WNOHANG) != 0) process_ = -1;
      if (process_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (process_ > 0) {
      send(SIGKILL);
      waitpid(process_, nullptr, 0);
    }
  }
  close(descriptor_);
}

bool StepProcess::read_lines(const std::function<void(const std::string& line)>& on_line) {
  std::array<char, 4096> buffer;
  ssize_t bytes;
  do bytes = read(descriptor_, buffer.data(), buffer.size());
  while (bytes < 0 && errno == EINTR);
  if (bytes <= 0) {
    if (!unfinished_.empty()) on_line(unfinished_);
    unfinished_.clear();
    return false;
  }
  unfinished_.append(buffer.data(), static_cast<size_t>(bytes));
  size_t start = 0;
  for (size_t end; (end = unfinished_.find('\n', start)) != std::string::npos; start = end + 1)
    on_line(unfinished_.substr(start, end - start));
  unfinished_.erase(0, start);
  return true;
}

void StepProcess::send(int signal) const {
  if (process_ > 0) kill(process_, signal);
}

int StepProcess::wait() {
  int status = 0;
  pid_t ended;
  do ended = waitpid(process_, &status, 0);
  while (ended < 0 && errno == EINTR);
  process_ = -1;
  if (ended < 0) return static_cast<int>(ExitCode::internal);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace mfi
