#include "mfi/core/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>

namespace mfi {
namespace {

// The numbers decide what every run sees: changing them changes all results.
TEST(RandomStream, GivesTheRecordedNumbers) {
  RandomStream stream(0, 0, 0);
  const uint64_t first = stream.next(), second = stream.next();
  RandomStream again(0, 0, 0);
  EXPECT_EQ(again.next(), first);
  EXPECT_EQ(again.next(), second);
  EXPECT_EQ(first, 0x2130748AAAC80268u);
  EXPECT_EQ(second, 0x0CC78FB979CE5090u);
}

TEST(RandomStream, DependsOnEachPartOfItsName) {
  std::set<uint64_t> firsts;
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (uint64_t a = 0; a < 20; ++a)
      for (uint64_t b = 0; b < 20; ++b) firsts.insert(RandomStream(seed, a, b).next());
  EXPECT_EQ(firsts.size(), 8000u);
}

// 90,000 draws of 9 values: a count has mean 10,000 and standard deviation 94; 500 is 5.3 of them.
TEST(RandomStream, DrawsWholeNumbersEvenly) {
  std::array<int, 9> counts{};
  for (uint64_t i = 0; i < 90000; ++i) ++counts.at(RandomStream(1, 2, i).below(9));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
}

// The mean of 100,000 uniform numbers has standard deviation 0.0009; 0.005 is 5.5 of them.
TEST(RandomStream, DrawsFractionsBelowOneAroundAHalf) {
  RandomStream stream(3, 1, 4);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double value = stream.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.005);
}

// First draws of neighbouring streams; their correlation has standard deviation 0.003.
TEST(RandomStream, NeighbouringStreamsAreUncorrelated) {
  double sum = 0;
  constexpr int kPairs = 100000;
  for (uint64_t i = 0; i < kPairs; ++i)
    sum += (RandomStream(5, 0, i).uniform() - 0.5) * (RandomStream(5, 0, i + 1).uniform() - 0.5) * 12;
  EXPECT_NEAR(sum / kPairs, 0.0, 0.016);
}

}  // namespace
}  // namespace mfi
