#include "mfi/pipeline/results.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

TEST(Results, OfATestThatIsNotFiniteAreReadAgain) {
  const TestFolder folder;
  StepResult step;
  step.step = "teacher";
  step.test_top1_percent = 10;
  step.test_loss = std::numeric_limits<double>::quiet_NaN();
  step.details = {{"stage1_error_1step", std::numeric_limits<double>::infinity()}};
  write_step_result(folder / "step.json", step);
  RunResults results;
  results.steps = {step};
  write_results(folder / "results.json", results);
  for (const auto& read : {read_step_result(folder / "step.json"), read_results(folder / "results.json").steps.at(0)}) {
    EXPECT_EQ(read.test_top1_percent, 10);
    EXPECT_TRUE(std::isnan(read.test_loss));
    ASSERT_EQ(read.details.size(), 1U);
    EXPECT_TRUE(std::isnan(read.details[0].second));
  }
}

}  // namespace
}  // namespace mfi
