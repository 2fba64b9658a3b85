#include "mfi/core/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace mfi {
namespace {

TEST(Format, KeepsTextsOfAnyLength) {
  EXPECT_EQ(format("%d %s", 7, "x"), "7 x");
  const std::string longer(10000, 'a');
  EXPECT_EQ(format("%s!", longer.c_str()), longer + "!");
  EXPECT_EQ(format("%s", ""), "");
}

TEST(Join, PutsTheSeparatorBetweenItemsOnly) {
  EXPECT_EQ(join({"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(join({"a"}, ", "), "a");
  EXPECT_EQ(join({}, ", "), "");
}

TEST(NearestName, FindsAMisspeltName) {
  const std::vector<std::string> names{"epochs", "batch_size", "learning_rate"};
  EXPECT_EQ(nearest_name("epoch", names), "epochs");
  EXPECT_EQ(nearest_name("learnig_rate", names), "learning_rate");
  EXPECT_EQ(nearest_name("bach_sise", names), "batch_size");
  EXPECT_EQ(nearest_name("batch_size", names), "batch_size");
}

TEST(NearestName, CountsASwapAsOneEdit) {
  EXPECT_EQ(nearest_name("fp23", {"bf16", "fp32"}), "fp32");
  EXPECT_EQ(nearest_name("lwo", {"low"}), "low");
  EXPECT_EQ(nearest_name("tmea", {"meta"}), "");  // a letter out of its place by two is two edits
}

TEST(NearestName, PrefersTheFewestEdits) { EXPECT_EQ(nearest_name("mape", {"maple", "map", "mare"}), "maple"); }

TEST(NearestName, IsEmptyWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("colour", {"epochs", "seed"}), "");
  EXPECT_EQ(nearest_name("epoxyd", {"epochs"}), "");  // three edits in six letters
  EXPECT_EQ(nearest_name("seed", {}), "");
  EXPECT_EQ(nearest_name("", {"a"}), "");
}

TEST(CountText, ChoosesADecimalUnit) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(87), "87");
  EXPECT_EQ(count_text(1234), "1.2 k");
  EXPECT_EQ(count_text(12380000), "12.38 M");
  EXPECT_EQ(count_text(1.16e9), "1.16 G");
}

TEST(CountText, NeverPrintsAThousandOfAUnit) {
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(999960), "1.00 M");
  EXPECT_EQ(count_text(999.99e6), "999.99 M");
  EXPECT_EQ(count_text(999.9999e6), "1.00 G");
}

TEST(DurationText, ChoosesUnits) {
  EXPECT_EQ(duration_text(3.21), "3.2 s");
  EXPECT_EQ(duration_text(245), "4 min 05 s");
  EXPECT_EQ(duration_text(3720), "1 h 02 min");
  EXPECT_EQ(duration_text(100 * 3600), "100 h 00 min");
}

TEST(DurationText, CarriesRoundedSeconds) {
  EXPECT_EQ(duration_text(59.97), "1 min 00 s");
  EXPECT_EQ(duration_text(119.6), "2 min 00 s");
  EXPECT_EQ(duration_text(3599.7), "1 h 00 min");
}

TEST(DurationText, HasAWordForWhatIsNotKnown) {
  EXPECT_EQ(duration_text(std::numeric_limits<double>::quiet_NaN()), "?");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::infinity()), "?");
}

TEST(BytesText, ChoosesABinaryUnit) {
  EXPECT_EQ(bytes_text(17), "17 B");
  EXPECT_EQ(bytes_text(512.0 * 1024), "512 KiB");
  EXPECT_EQ(bytes_text(1.4 * 1024 * 1024 * 1024), "1.4 GiB");
  EXPECT_EQ(bytes_text(1048575), "1 MiB");
}

TEST(UtcTimeText, IsIso8601) {
  const std::string text = utc_time_text();
  ASSERT_EQ(text.size(), 20u);
  EXPECT_EQ(text.substr(0, 2), "20");
  EXPECT_EQ(text[10], 'T');
  EXPECT_EQ(text.back(), 'Z');
}

}  // namespace
}  // namespace mfi
