#include "mfi/train/finite.h"

#include <gtest/gtest.h>

#include <limits>

namespace mfi {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

TEST(AllFinite, IsTrueOfTheLargestNumbersAndOfNone) {
  const float largest = std::numeric_limits<float>::max(), smallest = std::numeric_limits<float>::denorm_min();
  EXPECT_TRUE(all_finite(torch::tensor({largest, -largest, smallest, 0.f})));
  EXPECT_TRUE(all_finite(torch::empty({0})));
  EXPECT_TRUE(all_finite(torch::tensor({1, 2, 3})));
}

// Longer than what one look takes, in every corner of it.
TEST(AllFinite, FindsOneElementWhereverItIs) {
  for (const float value : {kNaN, -kNaN, kInfinity, -kInfinity})
    for (const int64_t at : {0, 1, 32767, 32768, 99998, 99999}) {
      auto values = torch::ones({100000});
      values[at] = value;
      EXPECT_FALSE(all_finite(values)) << value << " at " << at;
    }
}

TEST(AllFinite, LooksAtOtherTypesAndLayoutsToo) {
  auto values = torch::ones({2, 3, 4, 5});
  values[1][2][3][4] = kNaN;
  EXPECT_FALSE(all_finite(values.contiguous(torch::MemoryFormat::ChannelsLast)));
  EXPECT_FALSE(all_finite(values.transpose(0, 3)));
  EXPECT_FALSE(all_finite(values.to(torch::kBFloat16)));
  EXPECT_FALSE(all_finite(values.to(torch::kFloat64)));
  // A view that leaves the NaN out.
  EXPECT_TRUE(all_finite(values.slice(3, 0, 5, 2).slice(0, 0, 1)));
}

TEST(FirstNotFinite, NamesIt) {
  EXPECT_EQ(first_not_finite({{"a", torch::ones({2})}, {"b", torch::full({2}, kNaN)}}), "b");
  EXPECT_EQ(first_not_finite({{"a", torch::ones({2})}}), "");
}

}  // namespace
}  // namespace mfi
