// Runs a target on every file of some folders, as it is and damaged, without a fuzzer.
//
// usage: NAME_replay SEEDS CRASHES
//
// SEEDS must hold at least one file, and its files are damaged too: cut off at every byte, with every byte changed in
// two ways, and with pieces removed, doubled and swapped at random; of larger files some thousand such. CRASHES holds
// what once failed, and may be empty.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "fuzz/target.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/text.h"

namespace {

namespace fs = std::filesystem;

constexpr size_t kPlaces = 1000;  // at which a file is cut off and changed
constexpr size_t kRandom = 300;

// What runs, for when it ends the process.
char current[1000];

extern "C" void say_what_ran(int signal) {
  const auto say = [](const char* text) { return ::write(2, text, std::strlen(text)); };
  (void)(say("killed by a signal: ") + say(current) + say("\n"));
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

class Replay {
 public:
  void run(const fs::path& file, bool damaged) {
    const auto bytes = mfi::read_file(file);
    name_ = file.string();
    try_out(bytes, "as it is");
    if (!damaged) return;
    const size_t stride = bytes.size() / kPlaces + 1;
    for (size_t at = 0; at < bytes.size(); at += stride) {
      try_out(bytes.substr(0, at), mfi::format("cut off at byte %zu", at));
      auto changed = bytes;
      for (const int flip : {0xFF, 1 << (at % 8)}) {
        changed[at] = static_cast<char>(bytes[at] ^ flip);
        try_out(changed, mfi::format("with byte %zu xor 0x%02x", at, flip));
      }
    }
    // The same on every machine: the generator's numbers are fixed by the standard, and so no distribution is used.
    std::mt19937_64 random(bytes.size());
    for (size_t i = 0; i < kRandom && !bytes.empty(); ++i)
      try_out(shuffled(bytes, random), mfi::format("shuffled %zu", i));
  }

  bool is_good() const { return problems_ == 0; }
  size_t runs() const { return runs_; }

 private:
  static std::string shuffled(std::string bytes, std::mt19937_64& random) {
    const auto below = [&](size_t end) { return static_cast<size_t>(random() % end); };
    for (size_t edits = 1 + below(3); edits > 0 && !bytes.empty(); --edits) {
      const size_t from = below(bytes.size()), count = 1 + below(std::min<size_t>(32, bytes.size() - from));
      const auto piece = bytes.substr(from, count);
      const auto kind = below(3);
      if (kind != 0) bytes.insert(below(bytes.size() + 1), piece);
      if (kind != 1) bytes.erase(std::min(from, bytes.size()), count);
    }
    return bytes;
  }

  void try_out(const std::string& bytes, const std::string& how) {
    ++runs_;
    std::snprintf(current, sizeof current, "%s, %s", name_.c_str(), how.c_str());
    std::string problem;
    try {
      // A copy to the byte, so that AddressSanitizer sees a read beyond its end.
      const std::vector<char> exact(bytes.begin(), bytes.end());
      problem = mfi::fuzz::problem_of({exact.data(), exact.size()});
    } catch (const std::exception& error) {
      problem = std::string("another exception: ") + error.what();
    }
    if (problem.empty()) return;
    ++problems_;
    if (problems_ <= 20) std::fprintf(stderr, "%s: %s\n", current, problem.c_str());
  }

  std::string name_;
  size_t runs_ = 0, problems_ = 0;
};

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 64;
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL}) ::signal(signal, say_what_ran);
  const auto seeds = files_in(arguments[1]), crashes = files_in(arguments[2]);
  if (seeds.empty()) {
    std::fprintf(stderr, "%s: holds no seeds\n", arguments[1]);
    return 1;
  }
  Replay replay;
  for (const auto& file : crashes) replay.run(file, /*damaged=*/false);
  for (const auto& file : seeds) replay.run(file, /*damaged=*/true);
  std::printf("%zu seeds, %zu past crashes, %zu inputs with the damaged ones\n", seeds.size(), crashes.size(),
              replay.runs());
  return replay.is_good() ? 0 : 1;
}
