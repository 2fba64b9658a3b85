#include "mfi/report/results_table.h"

#include <gmock/gmock.h>

#include "mfi/report/made_up_run.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(ResultsTable, IsThisTextForAMadeUpRun) {
  auto run = made_up_run();
  run.steps.push_back(made_up_control("teacher-longer", 91.1));

  EXPECT_THAT(
      results_table(run),
      StartsWith("step            network                 parameters    share     MACs    share  test top-1  seconds\n"
                 "--------------------------------------------------------------------------------------------------\n"
                 "teacher         resnet34-w16                1.00 M  100.0 %  72.00 M  100.0 %     91.00 %   3600.0\n"
                 "map             meta of resnet34-w16       230.0 k   23.0 %  20.00 M   27.8 %     70.12 %     60.0\n"
                 "hybrid          hybrid of resnet34-w16     580.0 k   58.0 %  68.00 M   94.4 %     91.20 %    120.0\n"
                 "--------------------------------------------------------------------------------------------------\n"
                 "teacher-longer  net-teacher-longer         800.0 k   80.0 %  70.00 M   97.2 %     91.10 %     30.0\n"
                 "made-up: cifar-10, 50000 training and 10000 test images; a processor, 2 threads, AMX; bf16; "
                 "mfi 0.1.0, LibTorch 2.11.0\n"
                 "Trained for 1 h 03 min, and the controls for 30.0 s.\n"
                 "\n"
                 "The hybrid has 58.0 % of the teacher's parameters"));
}

TEST(ResultsTable, HasNoRuleForControlsWithoutControls) {
  const auto text = results_table(made_up_run());
  EXPECT_EQ(text.find("----\n"), text.rfind("----\n"));
}

TEST(ResultsTable, LeavesOutStepsThatAreNotShown) {
  EXPECT_THAT(results_table(made_up_run()), Not(HasSubstr("incubate-1")));
}

TEST(ResultsTable, OfARunThatWasStoppedEarlyHasNoVerdict) {
  auto run = made_up_run();
  run.steps.resize(1);
  EXPECT_THAT(results_table(run), Not(HasSubstr("The hybrid")));
}

}  // namespace
}  // namespace mfi
