#include "mfi/nn/latency.h"

#include <gmock/gmock.h>

#include "mfi/nn/arch.h"

namespace mfi {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::SizeIs;

PartTimes turn_of(std::vector<double> parts) {
  PartTimes out;
  for (const double part : parts) out.whole += part;
  out.milliseconds = std::move(parts);
  return out;
}

// Three networks of 3, 6 and 9 ms on a machine that is slower for some of the measurements.
class ByTurns : public testing::Test {
 protected:
  std::vector<double> wholes(const std::function<double(int)>& slower) {
    measured_ = 0;
    times_ = times_by_turns(3, [&](size_t i) {
      const double factor = slower(measured_++), size = static_cast<double>(i) + 1;
      return turn_of({factor * size, factor * 2 * size});
    });
    std::vector<double> out;
    for (const auto& each : times_) out.push_back(each.whole);
    return out;
  }
  int measured_ = 0;
  std::vector<PartTimes> times_;
};

TEST_F(ByTurns, OneSlowPhaseIsInNoNetworksTime) {
  for (int begin = 0; begin < 15; ++begin) {
    const auto slower = [&](int number) { return number >= begin && number < begin + 3 ? 3.0 : 1.0; };
    EXPECT_THAT(wholes(slower), ElementsAre(3, 6, 9)) << begin;
    EXPECT_EQ(measured_, 15);
    EXPECT_THAT(times_[1].milliseconds, ElementsAre(2, 4));
    EXPECT_EQ(worst_spread(times_), 0);
  }
}

// One of them was disturbed, and the machine has another pace by then.
TEST_F(ByTurns, GoOnTogether) {
  const auto found =
      wholes([](int number) { return (number == 1 || number == 4 ? 3.0 : 1.0) * (number < 15 ? 1 : 1.35); });
  EXPECT_EQ(measured_ % 15, 0);
  EXPECT_GT(measured_, 15);
  EXPECT_NEAR(found[1] / found[0], 2, 0.01);
  EXPECT_NEAR(found[2] / found[0], 3, 0.01);
}

TEST_F(ByTurns, GoOnWhileTheMachineIsBusy) {
  EXPECT_THAT(wholes([](int number) { return number < 8 ? 3.0 : 1.0; }), ElementsAre(3, 6, 9));
  EXPECT_EQ(measured_, 30) << "until it is calm";
  wholes([](int number) { return number / 3 % 2 == 0 ? 3.0 : 1.0; });
  EXPECT_EQ(measured_, 45) << "and not for ever";
  EXPECT_GT(worst_spread(times_), kLargestSpread);
}

TEST(MeasureByTurns, GivesATimeForEachPart) {
  const auto network = [](int64_t width) { return std::make_shared<Network>(resnet_arch("resnet20", width, 10)); };
  const auto times = measure_by_turns(network(4), network(16), 2);
  ASSERT_THAT(times, SizeIs(2));
  for (const auto& each : times) {
    EXPECT_THAT(each.milliseconds, SizeIs(5));
    EXPECT_THAT(each.milliseconds, Each(testing::Gt(0)));
    EXPECT_GT(each.whole, 0);
  }
}

}  // namespace
}  // namespace mfi
