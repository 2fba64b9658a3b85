#include "mfi/core/utf8.h"

#include <gtest/gtest.h>

namespace mfi {
namespace {

TEST(Utf8, KnowsCharactersOfEveryLength) {
  const auto code = [](std::string_view text) { return first_utf8_character(text).code; };
  EXPECT_EQ(code("a"), 0x61u);
  EXPECT_EQ(code("\u00e4z"), 0xe4u);
  EXPECT_EQ(code("\u20ac"), 0x20acu);
  EXPECT_EQ(code("\U0001f600"), 0x1f600u);
  EXPECT_EQ(first_utf8_character("\U0001f600z").bytes, 4u);
}

TEST(Utf8, TellsBytesThatAreNone) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("\u00c4pfel \u20ac \U0001f600"));
  for (const char* text : {"M\xfcller", "\xc3", "\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"})
    EXPECT_FALSE(is_utf8(text)) << text;
}

}  // namespace
}  // namespace mfi
