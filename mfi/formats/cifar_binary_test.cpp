#include "mfi/formats/cifar_binary.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <numeric>
#include <utility>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

// The official layouts with few records in a file.
CifarLayout small(CifarLayout layout) {
  layout.train_records = 300;  // more than are read at a time
  layout.test_records = 2;
  return layout;
}
CifarLayout small10() { return small(cifar10_layout()); }
CifarLayout small100() { return small(cifar100_layout()); }

/// Pixel bytes that tell file and record apart.
uint8_t pixel(int file, int64_t record, int64_t at) { return static_cast<uint8_t>(file * 50 + record * 7 + at); }

std::string records(const CifarLayout& layout, int file, int64_t count) {
  std::string bytes;
  for (int64_t r = 0; r < count; ++r) {
    for (const int64_t classes : layout.label_classes) bytes += static_cast<char>((r + file) % classes);
    for (int64_t i = 0; i < kCifarPixelBytes; ++i) bytes += static_cast<char>(pixel(file, r, i));
  }
  return bytes;
}

std::string class_names(const CifarLayout& layout) {
  std::string text;
  for (int64_t c = 0; c < layout.classes(); ++c) text += "class" + std::to_string(c) + "\n";
  return text + "\n";  // the official files end with an empty line
}

using Files = std::vector<std::pair<std::string, std::string>>;

Files files_of(const CifarLayout& layout) {
  Files files{{layout.class_names_file, class_names(layout)},
              {layout.test_file, records(layout, 0, layout.test_records)}};
  for (size_t i = 0; i < layout.train_files.size(); ++i)
    files.emplace_back(layout.train_files[i], records(layout, static_cast<int>(i) + 1, layout.train_records));
  return files;
}

void write_files(const fs::path& folder, const Files& files) {
  fs::create_directories(folder);
  for (const auto& [name, bytes] : files) replace_file(folder / name, bytes);
}

void write_archive(const fs::path& path, const std::string& folder, const Files& files) {
  archive* out = archive_write_new();
  archive_write_add_filter_gzip(out);
  archive_write_set_format_ustar(out);
  ASSERT_EQ(archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
  for (const auto& [name, bytes] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, (folder + "/" + name).c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(out, entry);
    archive_write_data(out, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
}

void expect_as_written(const CifarLayout& layout, const CifarSet& set) {
  const auto train = static_cast<size_t>(layout.train_records) * layout.train_files.size();
  ASSERT_EQ(set.train.labels.size(), train);
  ASSERT_EQ(set.train.pixels.size(), train * kCifarPixelBytes);
  ASSERT_EQ(set.test.labels.size(), 2u);
  for (size_t i = 0; i < train; ++i) {
    const auto file = static_cast<int>(i / layout.train_records) + 1;
    const auto record = static_cast<int64_t>(i) % layout.train_records;
    ASSERT_EQ(set.train.labels[i], (record + file) % layout.classes()) << "record " << i;
    for (const int64_t at : {int64_t{0}, int64_t{1500}, kCifarPixelBytes - 1})
      ASSERT_EQ(set.train.pixels[i * kCifarPixelBytes + at], pixel(file, record, at)) << "record " << i;
  }
  EXPECT_EQ(set.test.pixels[kCifarPixelBytes], pixel(0, 1, 0));
  EXPECT_EQ(set.class_names.size(), static_cast<size_t>(layout.classes()));
  EXPECT_EQ(set.class_names[3], "class3");
}

TEST(CifarFolder, HoldsItsRecordsInFileOrder) {
  for (const CifarLayout& layout : {small10(), small100()}) {
    TestFolder folder;
    write_files(folder.path(), files_of(layout));
    expect_as_written(layout, read_cifar_folder(layout, folder.path()));
  }
}

TEST(CifarFolder, NamesAMissingFile) {
  TestFolder folder;
  write_files(folder.path(), files_of(small10()));
  fs::remove(folder / "data_batch_3.bin");
  EXPECT_THAT(message_of<NotFoundError>([&] { read_cifar_folder(small10(), folder.path()); }),
              AllOf(HasSubstr("data_batch_3.bin: missing"), HasSubstr("mfi data get cifar-10")));
}

TEST(CifarFolder, NumbersTheClassesWithoutTheirNames) {
  TestFolder folder;
  write_files(folder.path(), files_of(small10()));
  fs::remove(folder / "batches.meta.txt");
  EXPECT_EQ(read_cifar_folder(small10(), folder.path()).class_names[9], "9");
}

TEST(CifarFolder, RefusesAnotherNumberOfClassNames) {
  TestFolder folder;
  write_files(folder.path(), files_of(small10()));
  replace_file(folder / "batches.meta.txt", "cat\ndog\n");
  EXPECT_THAT(message_of<DataError>([&] { read_cifar_folder(small10(), folder.path()); }),
              AllOf(HasSubstr("2 class names"), HasSubstr("expected 10")));
}

/// What is said of a folder whose second training file holds these bytes.
std::string problem_with(const CifarLayout& layout, const std::string& bytes) {
  TestFolder folder;
  write_files(folder.path(), files_of(layout));
  replace_file(folder / layout.train_files.back(), bytes);
  return message_of<DataError>([&] { read_cifar_folder(layout, folder.path()); });
}

TEST(CifarFolder, NamesTheRecordThatIsCutOff) {
  std::string bytes = records(small10(), 5, 300);
  bytes.resize(3073 * 270 + 100);
  EXPECT_THAT(problem_with(small10(), bytes),
              AllOf(HasSubstr("data_batch_5.bin"), HasSubstr("record 270 is cut off"), HasSubstr("100 bytes"),
                    HasSubstr("expected 3073"), HasSubstr("mfi data get cifar-10")));
}

TEST(CifarFolder, RefusesAFileThatEndsBetweenRecords) {
  EXPECT_THAT(problem_with(small10(), records(small10(), 5, 256)), HasSubstr("has 256 records, expected 300"));
  EXPECT_THAT(problem_with(small10(), ""), HasSubstr("has 0 records, expected 300"));
}

TEST(CifarFolder, RefusesAFileThatIsTooLong) {
  EXPECT_THAT(problem_with(small10(), records(small10(), 5, 301)), HasSubstr("longer than the 300 records"));
}

TEST(CifarFolder, NamesTheRecordWhoseLabelIsOutOfRange) {
  std::string bytes = records(small10(), 5, 300);
  bytes[3073 * 271] = 10;
  EXPECT_THAT(problem_with(small10(), bytes), AllOf(HasSubstr("data_batch_5.bin"), HasSubstr("record 271"),
                                                    HasSubstr("label is 10"), HasSubstr("0 to 9")));
}

TEST(CifarFolder, ChecksBothLabelsOfCifar100) {
  std::string bytes = records(small100(), 1, 300);
  bytes[3074] = 20;
  EXPECT_THAT(problem_with(small100(), bytes), AllOf(HasSubstr("record 1"), HasSubstr("coarse label is 20")));
  bytes[3074] = 19;
  bytes[3075] = 100;
  EXPECT_THAT(problem_with(small100(), bytes), AllOf(HasSubstr("its label is 100"), HasSubstr("0 to 99")));
}

TEST(CifarArchive, HoldsTheSameAsTheFolder) {
  for (const CifarLayout& layout : {small10(), small100()}) {
    TestFolder folder;
    Files files = files_of(layout);
    std::reverse(files.begin(), files.end());  // the order inside must not matter
    files.emplace_back("readme.html", "<html>");
    write_archive(folder / "a.tar.gz", layout.folder, files);
    expect_as_written(layout, read_cifar_archive(layout, folder / "a.tar.gz"));
  }
}

std::string archive_problem(const CifarLayout& layout, const std::string& inside, const Files& files) {
  TestFolder folder;
  write_archive(folder / "a.tar.gz", inside, files);
  return message_of<DataError>([&] { read_cifar_archive(layout, folder / "a.tar.gz"); });
}

TEST(CifarArchive, RecognisesThePythonVersion) {
  EXPECT_THAT(archive_problem(small10(), "cifar-10-batches-py", {{"data_batch_1", "pickle"}}),
              AllOf(HasSubstr("the Python version"), HasSubstr("cifar-10-binary.tar.gz")));
  EXPECT_THAT(archive_problem(small100(), "cifar-100-python", {{"train", "pickle"}}), HasSubstr("the Python version"));
}

TEST(CifarArchive, RecognisesTheOtherDataset) {
  EXPECT_THAT(archive_problem(small10(), "cifar-100-binary", files_of(small100())),
              AllOf(HasSubstr("archive of cifar-100"), HasSubstr("expected the binary version of cifar-10")));
  EXPECT_THAT(archive_problem(small100(), "cifar-10-batches-bin", files_of(small10())),
              HasSubstr("archive of cifar-10"));
}

TEST(CifarArchive, SaysWhatIsMissingAndWhatIsThere) {
  Files files = files_of(small10());
  files.pop_back();
  EXPECT_THAT(archive_problem(small10(), "x", files), HasSubstr("holds no data_batch_5.bin"));
  EXPECT_THAT(archive_problem(small10(), "photos", {{"cat.jpg", "x"}}), HasSubstr("photos/cat.jpg"));
}

TEST(CifarArchive, ChecksItsRecords) {
  Files files = files_of(small10());
  files.back().second[0] = 77;
  EXPECT_THAT(archive_problem(small10(), "x", files),
              AllOf(HasSubstr("x/data_batch_5.bin: record 0"), HasSubstr("77")));
}

TEST(CifarArchive, RefusesOneThatIsCutOffOrNoArchive) {
  TestFolder folder;
  write_archive(folder / "a.tar.gz", "x", files_of(small10()));
  const std::string bytes = read_file(folder / "a.tar.gz");
  for (const size_t length : {bytes.size() / 2, bytes.size() / 100, size_t{5}}) {
    replace_file(folder / "cut.tar.gz", std::string_view(bytes).substr(0, length));
    EXPECT_THAT(message_of<DataError>([&] { read_cifar_archive(small10(), folder / "cut.tar.gz"); }),
                AllOf(HasSubstr("cut.tar.gz"), HasSubstr("mfi data get cifar-10")));
  }
  replace_file(folder / "text.tar.gz", "<html>404 Not Found</html>");
  EXPECT_THAT(message_of<DataError>([&] { read_cifar_archive(small10(), folder / "text.tar.gz"); }),
              HasSubstr(".tar.gz archive"));
  EXPECT_THROW(read_cifar_archive(small10(), folder / "none.tar.gz"), NotFoundError);
}

fs::path real_data(const CifarLayout& layout) {
  const char* folder = std::getenv("MFI_DATA");
  return folder ? fs::path(folder) / layout.folder : fs::path();
}

TEST(CifarFolder, ReadsTheRealDatasets) {
  for (const CifarLayout& layout : {cifar10_layout(), cifar100_layout()}) {
    const fs::path folder = real_data(layout);
    if (!fs::exists(folder)) GTEST_SKIP() << "set MFI_DATA to a folder that holds " << layout.folder;
    const CifarSet set = read_cifar_folder(layout, folder);
    EXPECT_EQ(set.train.labels.size(), 50000u);
    std::vector<int64_t> counts(static_cast<size_t>(layout.classes()));
    for (const uint8_t label : set.train.labels) ++counts[label];
    for (const int64_t count : counts) EXPECT_EQ(count, 50000 / layout.classes());
    EXPECT_THAT(set.class_names.front(), layout.name == "cifar-10" ? "airplane" : "apple");
  }
}

}  // namespace
}  // namespace mfi
