#include <gmock/gmock.h>

#include <cstdlib>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/data/sources.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

CifarLayout small_layout() {
  CifarLayout layout = cifar10_layout();
  layout.train_records = 2;
  layout.test_records = 3;
  return layout;
}

void write_small(const fs::path& folder) {
  fs::create_directories(folder);
  const CifarLayout layout = small_layout();
  const auto write = [&](const std::string& name, int64_t count, int first) {
    std::string bytes;
    for (int64_t r = 0; r < count; ++r) {
      bytes += static_cast<char>((first + r) % 10);
      for (int64_t i = 0; i < kCifarPixelBytes; ++i) bytes += static_cast<char>(first + r + i / 1024 * 100);
    }
    replace_file(folder / name, bytes);
  };
  for (size_t f = 0; f < layout.train_files.size(); ++f) write(layout.train_files[f], 2, static_cast<int>(2 * f));
  write(layout.test_file, 3, 50);
}

TEST(ReadCifar, MakesTensorsOfTheRecords) {
  TestFolder folder;
  write_small(folder.path());
  const LabelledSets sets = read_cifar(small_layout(), folder.path());
  EXPECT_EQ(sets.train.images.sizes(), (std::vector<int64_t>{10, 3, 32, 32}));
  EXPECT_TRUE(sets.train.images.is_contiguous());
  EXPECT_TRUE(torch::equal(sets.train.labels, torch::arange(10)));
  EXPECT_EQ(sets.test.size(), 3);
  // Record 7's planes are 7, 107 and 207 throughout.
  for (int64_t c = 0; c < 3; ++c)
    EXPECT_TRUE((sets.train.images[7][c] == 7 + 100 * c).all().item<bool>()) << "channel " << c;
}

TEST(ReadCifar, FindsTheOfficialFolderWithinAnother) {
  TestFolder folder;
  write_small(folder / "cifar-10-batches-bin");
  EXPECT_EQ(read_cifar(small_layout(), folder.path()).source, folder / "cifar-10-batches-bin");
}

TEST(ReadCifar, SaysWhatItLookedForAndHowToGetIt) {
  TestFolder folder;
  EXPECT_THAT(message_of<NotFoundError>([&] { read_cifar(cifar10_layout(), folder.path()); }),
              AllOf(HasSubstr(folder.path().string()), HasSubstr("data_batch_1.bin"), HasSubstr("cifar-10-batches-bin"),
                    HasSubstr("cifar-10-binary.tar.gz"),
                    HasSubstr("`mfi data get cifar-10 --into " + folder.path().string() + "` downloads it")));
  EXPECT_THAT(message_of<NotFoundError>([&] { read_cifar(cifar100_layout(), folder / "none"); }),
              AllOf(HasSubstr("no such folder"), HasSubstr("mfi data get cifar-100")));
  EXPECT_THAT(message_of<NotFoundError>([&] { read_cifar(cifar10_layout(), ""); }),
              AllOf(HasSubstr("--data"), HasSubstr("MFI_DATA")));
}

TEST(ReadCifar, RecognisesThePythonVersionBesideIt) {
  TestFolder folder;
  fs::create_directories(folder / "cifar-10-batches-py");
  EXPECT_THAT(message_of<NotFoundError>([&] { read_cifar(cifar10_layout(), folder.path()); }),
              HasSubstr("Python version"));
}

TEST(ReadCifar, TakesAFileForTheArchive) {
  TestFolder folder;
  replace_file(folder / "cifar-10-binary.tar.gz", "not one");
  EXPECT_THROW(read_cifar(cifar10_layout(), folder / "cifar-10-binary.tar.gz"), DataError);
  EXPECT_THROW(read_cifar(cifar10_layout(), folder.path()), DataError);
}

}  // namespace
}  // namespace mfi
