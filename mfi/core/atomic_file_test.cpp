#include "mfi/core/atomic_file.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <future>
#include <stdexcept>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

int64_t files_in(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

TEST(ReplaceFile, WritesANewFileAndLeavesNoPart) {
  TestFolder folder;
  replace_file(folder / "a", [](const ByteSink& sink) {
    sink("one ", 4);
    sink("two", 3);
  });
  EXPECT_EQ(read_file(folder / "a"), "one two");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(ReplaceFile, ReplacesALongerFileWhole) {
  TestFolder folder;
  replace_file(folder / "a", "a longer text");
  replace_file(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "a"), "new");
}

TEST(ReplaceFile, OverwritesThePartOfAKilledRun) {
  TestFolder folder;
  replace_file(folder / "a.part", "left behind, and longer");
  replace_file(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "a"), "new");
  EXPECT_FALSE(fs::exists(folder / "a.part"));
}

TEST(ReplaceFile, KeepsTheOldFileWhenTheWriterThrows) {
  TestFolder folder;
  replace_file(folder / "a", "old");
  const auto fail = [](const ByteSink& sink) {
    sink("half", 4);
    throw std::logic_error("writer");
  };
  EXPECT_THROW(replace_file(folder / "a", fail), std::logic_error);
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(files_in(folder.path()), 1);
}

// Every write to /dev/full fails as on a full disk; the part file is made to lead there.
TEST(ReplaceFile, KeepsTheOldFileWhenTheDiskIsFull) {
  TestFolder folder;
  replace_file(folder / "a", "old");
  fs::create_symlink("/dev/full", folder / "a.part");
  EXPECT_THAT(message_of<IoError>([&] { replace_file(folder / "a", "new"); }),
              testing::AllOf(HasSubstr((folder / "a").string()), HasSubstr("no space left on device"),
                             HasSubstr("free some and run the same command again")));
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(ReplaceFile, WritesIntoAPipeAndLeavesItThere) {
  TestFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  auto read = std::async(std::launch::async, [&] { return read_file(folder / "pipe"); });
  replace_file(folder / "pipe", "through it");
  EXPECT_EQ(read.get(), "through it");
  EXPECT_TRUE(fs::is_fifo(folder / "pipe"));
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(ReplaceFile, WritesIntoTheDeviceThatALinkLeadsTo) {
  TestFolder folder;
  fs::create_symlink("/dev/full", folder / "a");
  EXPECT_THAT(message_of<IoError>([&] { replace_file(folder / "a", "new"); }),
              testing::AllOf(HasSubstr("no space left on device"), testing::Not(HasSubstr("as it was before"))));
  EXPECT_TRUE(fs::is_symlink(folder / "a"));
}

TEST(ReplaceFile, ReplacesWhatALinkLeadsTo) {
  TestFolder folder;
  fs::create_directory(folder / "elsewhere");
  replace_file(folder / "elsewhere" / "a", "old");
  fs::create_symlink("elsewhere/a", folder / "a");
  replace_file(folder / "a", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "a"));
  EXPECT_EQ(read_file(folder / "elsewhere" / "a"), "new");
  EXPECT_EQ(files_in(folder / "elsewhere"), 1);
}

TEST(ReplaceFile, PutsAFileInPlaceOfALinkThatLeadsNowhere) {
  TestFolder folder;
  fs::create_symlink("nowhere", folder / "a");
  replace_file(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "a"), "new");
  EXPECT_FALSE(fs::is_symlink(folder / "a"));
}

// In a process of its own: the limit cannot be taken back. The first bytes are written, later ones not.
TEST(ReplaceFile, RemovesThePartWhenWritingFailsHalfWay) {
  TestFolder folder;
  replace_file(folder / "a", "old");
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    bool as_expected = false;
    try {
      replace_file(folder / "a", std::string(5000, 'x'));
    } catch (const IoError& error) {
      as_expected = std::string(error.what()).find("larger than") != std::string::npos;
    } catch (...) {
    }
    _exit(as_expected ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(ReplaceFile, SaysWhyAFolderCannotBeWritten) {
  TestFolder folder;
  replace_file(folder / "file", "");
  // Below a regular file: nobody, root included, can write there.
  EXPECT_THAT(message_of<CannotWriteError>([&] { replace_file(folder / "file" / "a", "x"); }),
              testing::AllOf(HasSubstr("file/a"), HasSubstr("Not a directory")));
  EXPECT_THAT(message_of<CannotWriteError>([&] { replace_file(folder / "none" / "a", "x"); }),
              HasSubstr("No such file or directory"));
}

TEST(ReadFile, ReadsEveryByte) {
  TestFolder folder;
  std::string bytes(100000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31);
  replace_file(folder / "a", bytes);
  EXPECT_EQ(read_file(folder / "a"), bytes);
}

TEST(ReadFile, ReadsAFileThatDoesNotTellItsSize) { EXPECT_FALSE(read_file("/proc/self/status").empty()); }

TEST(ReadFile, NamesAMissingFile) {
  TestFolder folder;
  EXPECT_THAT(message_of<NotFoundError>([&] { read_file(folder / "none"); }), HasSubstr("none"));
  EXPECT_THAT(message_of<NotFoundError>([&] { read_file(folder.path()); }), HasSubstr("is a folder"));
}

TEST(MakeFolder, MakesParentsAndAcceptsWhatIsThere) {
  TestFolder folder;
  make_folder(folder / "a" / "b");
  make_folder(folder / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder / "a" / "b"));
}

TEST(MakeFolder, SaysWhyItCannot) {
  TestFolder folder;
  replace_file(folder / "file", "");
  EXPECT_THAT(message_of<CannotWriteError>([&] { make_folder(folder / "file" / "a"); }), HasSubstr("Not a directory"));
  EXPECT_THAT(message_of<CannotWriteError>([&] { make_folder(folder / "file"); }), HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace mfi
