// Many starts at once in one folder: one of them runs, the others say who does.
#include <gmock/gmock.h>

#include <deque>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(Starts, OfManyAtOnceOneRunsAndTheOthersNameIt) {
  const TinyRun runs;
  const int starts = number_from_environment("MFI_STARTS", 8);
  std::deque<Program> programs;
  for (int i = 0; i < starts; ++i) programs.emplace_back(runs.arguments("shared"));
  int winners = 0, refused = 0;
  for (auto& program : programs) {
    const auto ended = program.wait();
    if (ended.exit_code == 0) {
      ++winners;
    } else {
      EXPECT_EQ(ended.exit_code, 75) << ended.error;
      EXPECT_THAT(ended.error, HasSubstr("in use by "));
      ++refused;
    }
  }
  std::printf("%d starts: %d ran, %d were refused\n", starts, winners, refused);
  EXPECT_EQ(winners, 1);
  EXPECT_THAT(runs.differences("shared"), IsEmpty());
}

// A run that was killed leaves its lock file, which keeps nobody out.
TEST(Starts, GoOnWhereTheOwnerOfTheLockIsDead) {
  const TinyRun runs;
  Program killed(runs.arguments("killed"));
  ASSERT_TRUE(killed.wait_for(runs.path("killed") / "teacher/state-a.safetensors"));
  killed.send(SIGKILL);
  killed.wait();
  ASSERT_TRUE(fs::exists(runs.path("killed") / ".lock"));
  EXPECT_EQ(runs.finish("killed").exit_code, 0);
  EXPECT_THAT(runs.differences("killed"), IsEmpty());
}

}  // namespace
}  // namespace mfi
