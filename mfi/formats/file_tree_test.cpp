#include "mfi/formats/file_tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include <fstream>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/formats/archive_names.h"

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

// As Python, Windows and macOS write them.
TEST(FileTree, ReadsNamesThatAreNotAscii) {
  const TestFolder folder;
  for (const auto format : {archive_write_set_format_zip, archive_write_set_format_pax}) {
    const auto path = folder / "names";
    archive* out = archive_write_new();
    format(out);
    ASSERT_EQ(archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
    {
      const Utf8Names utf8_names;
      for (const char* name : {"\u00c4pfel/1.png", "\u6c34/2.png"}) {
        archive_entry* entry = archive_entry_new();
        archive_entry_set_pathname(entry, name);
        archive_entry_set_size(entry, 3);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_write_header(out, entry);
        archive_write_data(out, "abc", 3);
        archive_entry_free(entry);
      }
      archive_write_close(out);
    }
    archive_write_free(out);
    const auto tree = open_file_tree(path);
    EXPECT_THAT(tree->names(), ElementsAre("\u00c4pfel/1.png", "\u6c34/2.png"));
    EXPECT_EQ(tree->read(1), "abc");
  }
}

TEST(FileTree, ReadsAnArchive) {
  const TestFolder folder;
  write_tar(folder / "a.tar.gz", {{"./b/2.png", "two"}, {"a/1.png", "one"}, {"a/._1.png", "hidden"}});
  const auto tree = open_file_tree(folder / "a.tar.gz");
  EXPECT_THAT(tree->names(), ElementsAre("a/1.png", "b/2.png"));
  EXPECT_EQ(tree->read(0), "one");
}

TEST(FileTree, TakesNamesThatLeadOutOfAnArchiveForNamesInIt) {
  const TestFolder folder;
  write_tar(folder / "a.tar.gz", {{"/home/me/a/1.png", "one"}, {"../../b/2.png", "two"}});
  EXPECT_THAT(open_file_tree(folder / "a.tar.gz")->names(), ElementsAre("b/2.png", "home/me/a/1.png"));
}

TEST(FileTree, FollowsLinksInAFolderAndNamesThoseThatLeadNowhere) {
  namespace fs = std::filesystem;
  const TestFolder folder, elsewhere;
  write(folder / "a/1.png", "one");
  write(elsewhere / "deep/2.png", "two");
  fs::create_symlink(elsewhere / "deep", folder / "b");
  fs::create_symlink("nowhere", folder / "a/lost.png");
  fs::create_symlink("round.png", folder / "a/round.png");
  const auto tree = open_file_tree(folder.path());
  EXPECT_THAT(tree->names(), ElementsAre("a/1.png", "a/lost.png", "a/round.png", "b/2.png"));
  EXPECT_EQ(tree->read(3), "two");
  EXPECT_THROW(tree->read(2), Error);
  EXPECT_THAT(message_of<NotFoundError>([&] { tree->read(1); }), HasSubstr("a/lost.png"));
  fs::create_symlink("..", folder / "a/up");
  EXPECT_THAT(message_of<DataError>([&] { open_file_tree(folder.path()); }), HasSubstr("a/up: is a link back to"));
}

TEST(FileTree, FollowsLinksInAnArchive) {
  const TestFolder folder;
  archive* out = archive_write_new();
  archive_write_set_format_ustar(out);
  ASSERT_EQ(archive_write_open_filename(out, (folder / "a.tar").c_str()), ARCHIVE_OK);
  const auto add = [&](const char* name, auto set, const std::string& bytes) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    set(entry);
    archive_write_header(out, entry);
    archive_write_data(out, bytes.data(), bytes.size());
    archive_entry_free(entry);
  };
  const auto symlink = [](const char* target) {
    return [target](archive_entry* entry) {
      archive_entry_set_filetype(entry, AE_IFLNK);
      archive_entry_set_symlink(entry, target);
    };
  };
  add(
      "a/1.png", [](archive_entry*) {}, "one");
  add(
      "a/hard.png", [](archive_entry* entry) { archive_entry_set_hardlink(entry, "a/1.png"); }, "");
  add("b/soft.png", symlink("../a/hard.png"), "");
  add("b/lost.png", symlink("../../outside"), "");
  add("b/me.png", symlink("me.png"), "");
  archive_write_close(out);
  archive_write_free(out);
  const auto tree = open_file_tree(folder / "a.tar");
  EXPECT_THAT(tree->names(), ElementsAre("a/1.png", "a/hard.png", "b/lost.png", "b/me.png", "b/soft.png"));
  EXPECT_EQ(tree->read(1), "one");
  EXPECT_EQ(tree->read(4), "one");
  EXPECT_THAT(message_of<DataError>([&] { tree->read(2); }), HasSubstr("b/lost.png: is a link to ../outside"));
  EXPECT_THROW(tree->read(3), DataError);
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
