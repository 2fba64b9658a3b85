#include "mfi/report/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace mfi {
namespace {

// A terminal that nobody looks at, and an environment of the test's own.
class Terminal : public testing::Test {
 protected:
  Terminal() {
    for (const char* name : {"NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG"}) unsetenv(name);
    setenv("TERM", "xterm", 1);
    other_end_ = posix_openpt(O_RDWR | O_NOCTTY);
    if (other_end_ >= 0 && grantpt(other_end_) == 0 && unlockpt(other_end_) == 0)
      terminal_ = open(ptsname(other_end_), O_RDWR | O_NOCTTY);
    file_ = open("/dev/null", O_RDWR);
  }
  ~Terminal() override {
    for (const int descriptor : {other_end_, terminal_, file_})
      if (descriptor >= 0) close(descriptor);
  }
  void SetUp() override {
    if (terminal_ < 0) GTEST_SKIP() << "no pseudoterminals here";
  }

  int other_end_ = -1, terminal_ = -1, file_ = -1;
};

TEST_F(Terminal, CanGoBackAndHasColours) {
  EXPECT_TRUE(terminal_features(terminal_).can_go_back);
  EXPECT_TRUE(terminal_features(terminal_).colour);
}

TEST_F(Terminal, IsNoFile) {
  EXPECT_FALSE(terminal_features(file_).can_go_back);
  EXPECT_FALSE(terminal_features(file_).colour);
}

TEST_F(Terminal, MayBeDumb) {
  for (const char* term : {"dumb", ""}) {
    setenv("TERM", term, 1);
    EXPECT_FALSE(terminal_features(terminal_).can_go_back) << term;
    EXPECT_FALSE(terminal_features(terminal_).colour) << term;
  }
}

TEST_F(Terminal, HasNoColoursWhereNobodyWantsThem) {
  setenv("NO_COLOR", "1", 1);
  EXPECT_TRUE(terminal_features(terminal_).can_go_back);
  EXPECT_FALSE(terminal_features(terminal_).colour);
  setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(terminal_features(terminal_).colour) << "set, but empty";
}

TEST_F(Terminal, HasUnicodeWhereTheLocaleDoes) {
  EXPECT_FALSE(terminal_features(terminal_).unicode);
  setenv("LANG", "de_DE.utf8", 1);
  EXPECT_TRUE(terminal_features(terminal_).unicode);
  setenv("LC_ALL", "C", 1);
  EXPECT_FALSE(terminal_features(terminal_).unicode) << "LC_ALL comes first";
  setenv("LC_ALL", "C.UTF-8", 1);
  EXPECT_TRUE(terminal_features(terminal_).unicode);
}

TEST_F(Terminal, TellsItsSizeEachTime) {
  for (const unsigned short columns : {120, 40}) {
    const winsize size{30, columns, 0, 0};
    ASSERT_EQ(ioctl(terminal_, TIOCSWINSZ, &size), 0);
    EXPECT_EQ(terminal_size(terminal_).columns, columns);
    EXPECT_EQ(terminal_size(terminal_).rows, 30U);
  }
}

TEST_F(Terminal, OfAFileHasTheUsualSize) {
  EXPECT_EQ(terminal_size(file_).columns, 80U);
  EXPECT_EQ(terminal_size(file_).rows, 24U);
}

}  // namespace
}  // namespace mfi
