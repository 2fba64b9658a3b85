#include "mfi/report/text_table.h"

#include <gtest/gtest.h>

namespace mfi {
namespace {

TEST(TextTable, AlignsColumnsAndLeavesNoBlanksAtLineEnds) {
  TextTable table({{"name"}, {"count", TextTable::Align::right}, {"note"}});
  table.add_row({"a", "1", "first"});
  table.add_rule();
  table.add_row({"longer", "1000"});

  EXPECT_EQ(table.text(),
            "name    count  note\n"
            "--------------------\n"
            "a           1  first\n"
            "--------------------\n"
            "longer   1000\n");
}

TEST(TextTable, AlignsNamesThatAreNotAscii) {
  TextTable table({{"class"}, {"count", TextTable::Align::right}});
  table.add_row({"\xC3\x84pfel", "12"});
  table.add_row({"\xE7\x8C\xAB", "3"});
  EXPECT_EQ(table.text(),
            "class  count\n"
            "------------\n"
            "\xC3\x84pfel     12\n"
            "\xE7\x8C\xAB         3\n");
}

}  // namespace
}  // namespace mfi
