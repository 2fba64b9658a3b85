// A stop signal in each step: how long it takes to end, and that it goes on to the byte.
#include <gmock/gmock.h>

#include <cstdio>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::IsEmpty;

TEST(Stop, DuringEachStepEndsWithinSecondsAndGoesOnToTheByte) {
  const TinyRun runs;
  std::printf("%-14s%10s%12s\n", "step", "signal", "seconds");
  const std::pair<int, int> signals[] = {{SIGTERM, 143}, {SIGINT, 130}, {SIGUSR1, 143}};
  size_t next = 0;
  std::string before;
  for (const std::string step : {"teacher", "map", "meta", "incubate-1", "incubate-2", "hybrid", "no-mapping"}) {
    const auto [signal, exit_code] = signals[next++ % 3];
    // Without any other state within epochs: what the stop saves is what counts.
    const auto unfinished = runs.unfinished("stopped");
    EXPECT_EQ(unfinished.size(), before.empty() ? 0u : 1u) << "the stop during " << before << " saved nothing";
    Program program(runs.arguments("stopped", "0"));
    ASSERT_TRUE(program.wait_for_error("\"event\":\"progress\",\"step\":\"" + step + "\""));
    const auto begin = std::chrono::steady_clock::now();
    program.send(signal);
    const auto ended = program.wait();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    EXPECT_THAT(TinyRun::lost(unfinished, ended), IsEmpty());
    before = step;
    EXPECT_EQ(ended.exit_code, exit_code) << step << ": " << ended.error;
    EXPECT_LT(seconds, 10) << step;
    std::printf("%-14s%10s%12.2f\n", step.c_str(), strsignal(signal), seconds);
    EXPECT_THAT(runs.broken("stopped"), IsEmpty());
  }
  EXPECT_EQ(runs.finish("stopped").exit_code, 0);
  EXPECT_THAT(runs.differences("stopped"), IsEmpty());
}

}  // namespace
}  // namespace mfi
