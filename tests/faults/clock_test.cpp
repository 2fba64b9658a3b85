// A clock that is set back again and again while a run goes on, and before it is resumed.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::Each;
using testing::Gt;
using testing::IsEmpty;
using testing::Not;

const Environment kHourBack{{"LD_PRELOAD", MFI_FAULT_IO}, {"MFI_CLOCK_BACK", "3600"}};

std::vector<double> column(const fs::path& csv, const std::string& name) {
  std::istringstream lines(file_text(csv));
  const auto cells = [&] {
    std::vector<std::string> out;
    std::string line, cell;
    std::getline(lines, line);
    for (std::istringstream rest(line); std::getline(rest, cell, ',');) out.push_back(cell);
    return out;
  };
  const auto names = cells();
  const auto at = static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  std::vector<double> out;
  for (auto row = cells(); !row.empty(); row = cells()) out.push_back(std::stod(row.at(at)));
  return out;
}

TEST(Clock, GoingBackChangesNothingButTheTimesOnTheWall) {
  const TinyRun runs;
  const auto ended = run_program(runs.arguments("back"), kHourBack);
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(runs.differences("back"), IsEmpty());
  const auto timing = runs.path("back") / "teacher/timing.csv";
  const auto wall = column(timing, "wall_time");
  ASSERT_EQ(wall.size(), 2u);
  EXPECT_LT(wall[1], wall[0]) << "the clock went on";
  EXPECT_THAT(column(timing, "seconds"), Each(Gt(0)));
}

// The newer of two states is the one that was saved later, whatever the clock said.
TEST(Clock, SetBackBeforeARunGoesOnLosesNothing) {
  const TinyRun runs;
  Program killed(runs.arguments("resumed"));
  ASSERT_TRUE(killed.wait_for(runs.path("resumed") / "teacher/state-b.safetensors"));
  killed.send(SIGKILL);
  killed.wait();
  const auto unfinished = runs.unfinished("resumed");
  ASSERT_THAT(unfinished, Not(IsEmpty()));
  const auto ended = run_program(runs.arguments("resumed"), kHourBack);
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(TinyRun::lost(unfinished, ended), IsEmpty());
  EXPECT_THAT(runs.differences("resumed"), IsEmpty());
}

}  // namespace
}  // namespace mfi
