#include "mfi/formats/xxh3.h"

#include <gtest/gtest.h>

#include <string>

namespace mfi {
namespace {

// Reference values from the program xxh3sum of xxHash 0.8.1 (xxhsum -H3).
TEST(Xxh3, GivesWhatXxhsumGives) {
  EXPECT_EQ(xxh3("", 0), 0x2d06800538d394c2u);
  const std::string text = "mfi";
  EXPECT_EQ(xxh3(text.data(), text.size()), 0x16636a19e96f1356u);
}

}  // namespace
}  // namespace mfi
