#include "mfi/formats/file_tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include <fstream>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

void write_tar(const std::filesystem::path& path, const std::vector<std::pair<std::string, std::string>>& files) {
  archive* out = archive_write_new();
  archive_write_add_filter_gzip(out);
  archive_write_set_format_ustar(out);
  ASSERT_EQ(archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
  for (const auto& [name, bytes] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
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

TEST(FileTree, ReadsAFolderSortedAndWithoutWhatIsHidden) {
  const TestFolder folder;
  for (const char* name : {"b/2.png", "a/1.png", "a/deep/3.png", ".git/x", "a/.DS_Store", "__MACOSX/a/1.png"})
    write(folder / name, name);
  const auto tree = open_file_tree(folder.path());
  EXPECT_THAT(tree->names(), ElementsAre("a/1.png", "a/deep/3.png", "b/2.png"));
  EXPECT_EQ(tree->read(1), "a/deep/3.png");
  EXPECT_THROW(open_file_tree(folder / "none"), NotFoundError);
}

TEST(FileTree, ReadsAnArchive) {
  const TestFolder folder;
  write_tar(folder / "a.tar.gz", {{"./b/2.png", "two"}, {"a/1.png", "one"}, {"a/._1.png", "hidden"}});
  const auto tree = open_file_tree(folder / "a.tar.gz");
  EXPECT_THAT(tree->names(), ElementsAre("a/1.png", "b/2.png"));
  EXPECT_EQ(tree->read(0), "one");
}

TEST(FileTree, RefusesArchivesThatAreDamagedOrTooLarge) {
  const TestFolder folder;
  write(folder / "no.tar", "this is no archive, nothing like it at all");
  EXPECT_THAT(message_of<DataError>([&] { open_file_tree(folder / "no.tar"); }), HasSubstr("no.tar"));
  write_tar(folder / "bomb.tar.gz", {{"a.png", std::string(1 << 20, '\0')}});
  EXPECT_THAT(message_of<DataError>([&] { open_file_tree(folder / "bomb.tar.gz", 100'000); }),
              HasSubstr("are larger than"));
}

}  // namespace
}  // namespace mfi
