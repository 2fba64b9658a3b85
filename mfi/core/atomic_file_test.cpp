#include "mfi/core/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
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
  const auto pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  replace_file(pipe, "through it");
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(files_in(folder.path()), 1);
  std::string read(100, '\0');
  read.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(reader, read.data(), read.size()))));
  EXPECT_EQ(read, "through it");
  ::close(reader);
}

TEST(ReplaceFile, WritesIntoTheDeviceThatALinkLeadsTo) {
  TestFolder folder;
  fs::create_symlink("/dev/full", folder / "a");
  EXPECT_THAT(message_of<IoError>([&] { replace_file(folder / "a", "new"); }),
              testing::AllOf(HasSubstr("no space left on device"), testing::Not(HasSubstr("as it was before"))));
  EXPECT_TRUE(fs::is_symlink(folder / "a"));
}

TEST(ReplaceFile, ReplacesNoSocket) {
  TestFolder folder;
  const auto place = folder / "socket";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, place.c_str(), sizeof address.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_THROW(replace_file(place, "new"), CannotWriteError);
  EXPECT_TRUE(fs::is_socket(place));
  ::close(socket);
}

// As "... >> log --html /dev/stdout" has it.
TEST(ReplaceFile, WritesBehindWhatAnOpenFileHas) {
  TestFolder folder;
  replace_file(folder / "log", "earlier\n");
  const int log = ::open((folder / "log").c_str(), O_WRONLY | O_APPEND);
  for (const std::string name : {"/dev/fd/", "/proc/self/fd/"}) replace_file(name + std::to_string(log), "later\n");
  EXPECT_EQ(read_file(folder / "log"), "earlier\nlater\nlater\n");
  fs::remove(folder / "log");
  replace_file("/dev/fd/" + std::to_string(log), "to a file that has no name any more");
  ::close(log);
  EXPECT_EQ(files_in(folder.path()), 0);
  EXPECT_THROW(replace_file("/dev/fd/" + std::to_string(log), "closed"), CannotWriteError);
}

TEST(ReplaceFile, LeavesWhatALinkLeadsToAsItIs) {
  TestFolder folder;
  replace_file(folder / "theirs", "old");
  for (const char* target : {"theirs", "nowhere"}) {
    fs::create_symlink(target, folder / "a");
    replace_file(folder / "a", "new");
    EXPECT_FALSE(fs::is_symlink(folder / "a"));
    EXPECT_EQ(read_file(folder / "a"), "new");
    EXPECT_EQ(read_file(folder / "theirs"), "old");
    fs::remove(folder / "a");
  }
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
