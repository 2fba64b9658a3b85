#include "mfi/core/sha256.h"

#include <gtest/gtest.h>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

// FIPS 180-4's own examples.
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Sha256, MatchesTheStandardsExamples) {
  EXPECT_EQ(sha256_text("abc"), kAbc);
  EXPECT_EQ(sha256_text(""), kEmpty);
}

TEST(Sha256, DoesNotDependOnThePieces) {
  Sha256 hash;
  hash.update("a", 1);
  hash.update("", 0);
  hash.update("bc", 2);
  EXPECT_EQ(hash.hex_digest(), kAbc);
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  TestFolder folder;
  const std::string bytes(3 << 20, 'q');
  replace_file(folder / "a", bytes);
  EXPECT_EQ(sha256_file(folder / "a"), sha256_text(bytes));
  EXPECT_THROW(sha256_file(folder / "none"), NotFoundError);
}

}  // namespace
}  // namespace mfi
