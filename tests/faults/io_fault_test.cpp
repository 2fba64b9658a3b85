// Calls that fail while a run writes its files: it ends with one message, or not at all, and nothing is lost.
//
// MFI_FAULT_POINTS=N: as many calls of each kind are let fail, spread over the run.
#include <gmock/gmock.h>

#include <cstdio>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::map<std::string, long> calls_of_a_run(const TinyRun& runs) {
  const auto file = runs.path("counts");
  const auto ended = run_program(runs.arguments("counted"), {{"LD_PRELOAD", MFI_FAULT_IO}, {"MFI_FAULT_COUNTS", file}});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  std::map<std::string, long> out;
  std::ifstream in(file);
  std::string name;
  for (long count; in >> name >> count;) out[name] = count;
  runs.remove("counted");
  return out;
}

// An exit code of 74 or 73 and one message; then the same command finishes with the same bytes.
TEST(IoFault, OfEachKindLosesNothing) {
  const int points = number_from_environment("MFI_FAULT_POINTS", 1);
  const TinyRun runs;
  const auto calls = calls_of_a_run(runs);
  std::printf("%-10s%-10s%10s%12s%12s%12s\n", "call", "fault", "injected", "ended", "went on", "lost");
  const std::pair<const char*, std::vector<const char*>> faults[] = {{"open", {"ENOSPC", "EIO"}},
                                                                     {"write", {"ENOSPC", "EIO", "EINTR", "SHORT"}},
                                                                     {"fsync", {"ENOSPC", "EIO"}},
                                                                     {"rename", {"ENOSPC", "EIO"}}};
  for (const auto& [call, actions] : faults)
    for (const std::string action : actions)
      for (const bool persistent : {false, true}) {
        if (persistent && action == "EINTR") continue;  // for ever: nobody could go on
        int ended_early = 0, went_on = 0, lost = 0;
        for (int point = 0; point < points; ++point) {
          const long number = 1 + (calls.at(call) - 1) * (2 * point + 1) / (2 * points);
          const auto fault = std::string(call) + ":" + std::to_string(number) + (persistent ? "+" : "") + ":" + action;
          const auto ended =
              run_program(runs.arguments("failed"), {{"LD_PRELOAD", MFI_FAULT_IO}, {"MFI_FAULT", fault}});
          if (action == "EINTR" || action == "SHORT") {
            EXPECT_EQ(ended.exit_code, 0) << fault << ": " << ended.error;
          } else {
            EXPECT_TRUE(ended.exit_code == 74 || ended.exit_code == 73)
                << fault << ": " << ended.exit_code << ended.error;
            EXPECT_THAT(ended.error, HasSubstr("\nmfi: ")) << fault;
          }
          ended.exit_code == 0 ? ++went_on : ++ended_early;
          EXPECT_THAT(runs.broken("failed"), IsEmpty()) << fault;
          const auto unfinished = runs.unfinished("failed");
          const auto finished = runs.finish("failed");
          EXPECT_EQ(finished.exit_code, 0) << fault;
          EXPECT_THAT(TinyRun::lost(unfinished, finished), IsEmpty()) << fault;
          lost += static_cast<int>(TinyRun::lost(unfinished, finished).size());
          EXPECT_THAT(runs.differences("failed"), IsEmpty()) << fault;
          runs.remove("failed");
        }
        std::printf("%-10s%-10s%10d%12d%12d%12d\n", call, (action + (persistent ? "+" : "")).c_str(), points,
                    ended_early, went_on, lost);
      }
}

}  // namespace
}  // namespace mfi
