// kill -9 at random moments: whatever was going on, the run goes on and ends with the same bytes.
//
// MFI_KILLS=200 for as many kills, MFI_FAULT_SEED=N for other moments.
#include <gmock/gmock.h>

#include <cstdio>
#include <random>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::IsEmpty;

struct Moment {
  std::string step = "before any step", phase = "start";
};

// By the last event that the program wrote.
Moment moment_of(const std::string& events) {
  Moment out;
  const auto value = [](const std::string& line, const std::string& key) {
    const auto at = line.find("\"" + key + "\":\"");
    return at == std::string::npos
               ? ""
               : line.substr(at + key.size() + 4, line.find('"', at + key.size() + 4) - at - key.size() - 4);
  };
  std::istringstream lines(events);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("{\"event\":\"start\"")) out = {value(line, "step"), "start"};
    if (line.starts_with("{\"event\":\"phase\"")) out = {value(line, "step"), value(line, "phase")};
  }
  return out;
}

TEST(Kill, AtAnyMomentCostsNoByte) {
  const int kills = number_from_environment("MFI_KILLS", 8);
  std::mt19937 random(static_cast<unsigned>(number_from_environment("MFI_FAULT_SEED", 1)));
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const TinyRun runs;
  std::map<std::string, std::map<std::string, int>> hit;
  int done = 0, finished = 0;
  while (done < kills) {
    // Half of them by the clock, half in the midst of saving and loading, which take little of the time.
    Environment environment;
    const bool by_clock = below(2) == 0;
    if (!by_clock) {
      const char* calls[] = {"write", "fsync", "rename", "open", "fopen"};
      const int call = below(5);
      const std::string fault = std::string(calls[call]) + ":" +
                                std::to_string(1 + below(call == 0   ? 2000
                                                         : call == 4 ? 6
                                                                     : 60)) +
                                ":KILL";
      environment = {{"LD_PRELOAD", MFI_FAULT_IO}, {"MFI_FAULT", fault}};
    }
    const auto unfinished = runs.unfinished("killed");
    Program program(runs.arguments("killed", by_clock ? "0.001" : "1e-9"), environment);
    if (by_clock) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200 + below(2500)));
      program.send(SIGKILL);
    }
    const auto ended = program.wait();
    // By the time that it trains it has told what it goes on from.
    if (const auto phase = moment_of(ended.error).phase; phase != "start" && phase != "load") {
      ASSERT_THAT(TinyRun::lost(unfinished, ended), IsEmpty()) << "began anew after " << done << " kills";
    }
    if (ended.exit_code == 128 + SIGKILL) {
      const auto moment = moment_of(ended.error);
      ++hit[moment.step][moment.phase];
      ++done;
      ASSERT_THAT(runs.broken("killed"), IsEmpty()) << moment.step << ", " << moment.phase;
      if (done < kills) continue;
      ASSERT_EQ(runs.finish("killed").exit_code, 0);
    } else {
      ASSERT_EQ(ended.exit_code, 0) << ended.error;  // it was done before
    }
    ++finished;
    ASSERT_THAT(runs.differences("killed"), IsEmpty()) << "after " << done << " kills";
    runs.remove("killed");
  }
  std::printf("%d kills, %d runs finished in spite of them, 0 differing bytes\n", done, finished);
  const char* phases[] = {"start", "load", "train", "save", "evaluate"};
  std::printf("%-16s", "step");
  for (const char* phase : phases) std::printf("%10s", phase);
  std::printf("\n");
  for (const auto& [step, counts] : hit) {
    std::printf("%-16s", step.c_str());
    for (const char* phase : phases) std::printf("%10d", counts.contains(phase) ? counts.at(phase) : 0);
    std::printf("\n");
  }
}

}  // namespace
}  // namespace mfi
