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

TEST(Starts, OfASecondRunAreRefusedAtOnce) {
  const TinyRun runs;
  Program first(runs.arguments("shared"));
  ASSERT_TRUE(first.wait_for(runs.path("shared") / "teacher/state-a.safetensors"));
  const auto begin = std::chrono::steady_clock::now();
  const auto second = run_program(runs.arguments("shared"));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_EQ(second.exit_code, 75) << second.error;
  std::printf("refused after %.2f s\n", seconds);
  EXPECT_LT(seconds, 5);  // 0.4 s where nothing else runs
  EXPECT_EQ(first.wait().exit_code, 0);
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
