#include "mfi/report/columns.h"

#include <gtest/gtest.h>

namespace mfi {
namespace {

TEST(Columns, CountCharactersAndNotBytes) {
  EXPECT_EQ(columns_of("abc"), 3U);
  EXPECT_EQ(columns_of("Größe ✓ ━━"), 10U);
  EXPECT_EQ(columns_of(""), 0U);
}

TEST(Columns, CountWideAndCombiningCharacters) {
  EXPECT_EQ(columns_of("猫"), 2U);
  EXPECT_EQ(columns_of("한글"), 4U);
  EXPECT_EQ(columns_of("🐈"), 2U);
  EXPECT_EQ(columns_of("e\xcc\x81"), 1U) << "e and an acute";
}

TEST(FitColumns, CutsBetweenCharacters) {
  EXPECT_EQ(fit_columns("Größe", 3).text, "Grö");
  EXPECT_EQ(fit_columns("a猫b", 2).text, "a") << "half a cat is none";
  EXPECT_EQ(fit_columns("a猫b", 2).columns, 1U);
  EXPECT_EQ(fit_columns("a猫b", 3).text, "a猫");
}

TEST(FitColumns, LetsNothingThroughThatCouldMoveTheCursor) {
  EXPECT_EQ(fit_columns("a\x1b[2Jb\nc\r\x7f", 80).text, "a?[2Jb?c??");
  EXPECT_EQ(fit_columns("\xc2\x9b", 80).text, "?") << "C1 control";
}

TEST(FitColumns, ReplacesBytesThatAreNoUtf8) {
  EXPECT_EQ(fit_columns("a\xff z", 80).text, "a? z");
  EXPECT_EQ(fit_columns("\xe2\x9c", 80).text, "??") << "cut off";
  EXPECT_EQ(fit_columns("\xc0\x80", 80).text, "??") << "longer than it need be";
  EXPECT_EQ(fit_columns("\xed\xa0\x80", 80).text, "???") << "half of a pair";
}

}  // namespace
}  // namespace mfi
