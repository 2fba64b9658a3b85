#include "mfi/core/free_space.h"

#include <gmock/gmock.h>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

TEST(FreeSpace, IsEnoughForLittle) {
  const TestFolder folder;
  EXPECT_NO_THROW(require_space(folder.path(), 1, "the step teacher"));
}

TEST(FreeSpace, IsNotEnoughForAnExabyteAndSaysWhoNeedsIt) {
  const TestFolder folder;
  const auto message =
      message_of<IoError>([&] { require_space(folder.path(), uint64_t{1} << 60, "the step teacher"); });
  EXPECT_THAT(message, testing::HasSubstr(" free, the step teacher needs 1048576 TiB"));
}

}  // namespace
}  // namespace mfi
