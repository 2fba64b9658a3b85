#include "mfi/report/live_area.h"

#include <gtest/gtest.h>

#include <sstream>

#include "mfi/report/test_terminal.h"

namespace mfi {
namespace {

class LiveAreaTest : public testing::Test {
 protected:
  void draw(const std::vector<std::string>& lines) {
    std::vector<ScreenLine> out;
    for (const auto& line : lines) out.push_back({line, columns_of(line)});
    area_.draw(out, columns_);
    show();
  }
  void print(const std::string& text) {
    area_.print_above(text, columns_);
    show();
  }
  void show() {
    terminal_.write(out_.str());
    out_.str("");
    EXPECT_FALSE(terminal_.is_updating());
    EXPECT_EQ(terminal_.column(), 0U);
  }

  size_t columns_ = 80;
  std::ostringstream out_;
  LiveArea area_{out_};
  TestTerminal terminal_{80};
};

TEST_F(LiveAreaTest, DrawsOverWhatItDrew) {
  draw({"first long line", "second"});
  draw({"1st", "2nd"});
  EXPECT_EQ(terminal_.text(), "1st\n2nd\n");
}

TEST_F(LiveAreaTest, GrowsAndShrinks) {
  draw({"a"});
  draw({"a", "b", "c"});
  EXPECT_EQ(terminal_.text(), "a\nb\nc\n");
  draw({"d", "e"});
  EXPECT_EQ(terminal_.text(), "d\ne\n");
}

TEST_F(LiveAreaTest, LeavesWhatStoodThereBefore) {
  terminal_.write("$ mfi run\n");
  draw({"a", "b"});
  draw({"c"});
  EXPECT_EQ(terminal_.text(), "$ mfi run\nc\n");
}

TEST_F(LiveAreaTest, LetsMessagesScrollAbove) {
  print("before");
  draw({"a", "b"});
  print("message");
  print(std::string(100, 'x'));
  draw({"c", "d"});
  EXPECT_EQ(terminal_.text(), "before\nmessage\n" + std::string(80, 'x') + "\n" + std::string(20, 'x') + "\nc\nd\n");
}

TEST_F(LiveAreaTest, FindsItsBeginWhenTheTerminalGetsNarrower) {
  terminal_.write("prompt\n");
  draw({std::string(70, 'a'), "b", std::string(41, 'c')});
  columns_ = 40;
  terminal_.set_columns(columns_);
  draw({"d", "e"});
  EXPECT_EQ(terminal_.text(), "prompt\nd\ne\n");
}

TEST_F(LiveAreaTest, FindsItsBeginWhenTheTerminalGetsWider) {
  draw({std::string(70, 'a'), "b"});
  columns_ = 120;
  terminal_.set_columns(columns_);
  draw({"d", "e"});
  EXPECT_EQ(terminal_.text(), "d\ne\n");
}

TEST_F(LiveAreaTest, KeepsItsPlaceWhenTheTerminalGetsNarrowerAndWiderAgain) {
  terminal_.write("prompt\n");
  draw({std::string(70, 'a'), "b"});
  for (const size_t columns : {40, 120, 30, 80}) {
    columns_ = columns;
    terminal_.set_columns(columns);
    draw({"c", "d"});
    EXPECT_EQ(terminal_.text(), "prompt\nc\nd\n") << columns;
    draw({std::string(columns - 1, 'a'), "b"});
  }
}

TEST_F(LiveAreaTest, WritesAllOfADrawingInOnePieceInsideASynchronisedUpdate) {
  area_.draw({{"a", 1}}, columns_);
  EXPECT_EQ(out_.str(), "\x1b[?2026h\r\x1b[2Ka\x1b[K\n\x1b[J\x1b[?2026l");
  out_.str("");
  area_.draw({{"b", 1}}, columns_);
  EXPECT_EQ(out_.str(), "\x1b[?2026h\r\x1b[1Ab\x1b[K\n\x1b[J\x1b[?2026l");
}

}  // namespace
}  // namespace mfi
