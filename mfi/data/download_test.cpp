#include "mfi/data/download.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/sha256.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// A web server on this machine that offers one file.
class Server {
 public:
  struct Behaviour {
    bool ranges = true;             // knows the Range header
    size_t break_after = SIZE_MAX;  // closes the connection after so many bytes of an answer
    int status = 200;               // another one: answers every request with it
  };

  Server(std::string content, Behaviour behaviour) : content_(std::move(content)), behaviour_(behaviour) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 8) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0)
      throw std::runtime_error("the test server cannot listen");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/file.bin"; }

  /// The first byte that each request so far asked for.
  std::vector<size_t> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (;;) {
      const int client = ::accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      answer(client);
      ::close(client);
    }
  }

  void answer(int client) {
    std::string request;
    char buffer[1024];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = ::recv(client, buffer, sizeof(buffer), 0);
      if (got <= 0) return;
      request.append(buffer, static_cast<size_t>(got));
    }
    size_t first = 0;
    if (const size_t at = request.find("Range: bytes="); at != std::string::npos)
      first = static_cast<size_t>(std::atoll(request.c_str() + at + 13));
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(first);
    }
    if (!behaviour_.ranges) first = 0;
    const size_t size = content_.size();
    std::string head, body = content_.substr(std::min(first, size));
    if (behaviour_.status != 200) {
      head = "HTTP/1.1 " + std::to_string(behaviour_.status) + " No\r\n";
      body = "sorry";
    } else if (first > 0) {
      head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " + std::to_string(first) + "-" +
             std::to_string(size - 1) + "/" + std::to_string(size) + "\r\n";
    } else {
      head = "HTTP/1.1 200 OK\r\n";
    }
    head += "Content-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n";
    const std::string all = head + body.substr(0, behaviour_.break_after);
    size_t sent = 0;
    while (sent < all.size()) {
      const ssize_t bytes = ::send(client, all.data() + sent, all.size() - sent, MSG_NOSIGNAL);
      if (bytes <= 0) return;
      sent += static_cast<size_t>(bytes);
    }
  }

  std::string content_;
  Behaviour behaviour_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::vector<size_t> requests_;
  std::thread thread_;
};

std::string content() {
  std::string bytes;
  for (unsigned i = 0; i < 300000; ++i) bytes += static_cast<char>(i * i >> 3);
  return bytes;
}

RemoteFile remote(const std::string& url) { return {url, "file.bin", content().size(), sha256_text(content())}; }

TEST(FetchFile, BringsTheFileAndReportsProgress) {
  TestFolder folder;
  Server server(content(), {});
  uint64_t last = 0;
  const fs::path path = fetch_file(remote(server.url()), folder / "new", [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, content().size());
    last = done;
  });
  EXPECT_EQ(path, folder / "new" / "file.bin");
  EXPECT_EQ(read_file(path), content());
  EXPECT_EQ(last, content().size());
  EXPECT_FALSE(fs::exists(folder / "new" / "file.bin.part"));
}

TEST(FetchFile, GoesOnFromAnInterruptedPart) {
  TestFolder folder;
  replace_file(folder / "file.bin.part", content().substr(0, 100000));
  Server server(content(), {});
  EXPECT_EQ(read_file(fetch_file(remote(server.url()), folder.path(), {})), content());
  EXPECT_THAT(server.requests(), ElementsAre(100000u));
}

TEST(FetchFile, StartsAgainWhereRangesAreUnknown) {
  TestFolder folder;
  replace_file(folder / "file.bin.part", content().substr(0, 100000));
  Server server(content(), {.ranges = false});
  EXPECT_EQ(read_file(fetch_file(remote(server.url()), folder.path(), {})), content());
}

TEST(FetchFile, GoesOnAfterABrokenConnection) {
  TestFolder folder;
  Server server(content(), {.break_after = 120000});
  EXPECT_EQ(read_file(fetch_file(remote(server.url()), folder.path(), {})), content());
  EXPECT_THAT(server.requests(), ElementsAre(0u, 120000u, 240000u));
}

TEST(FetchFile, DoesNotAskForAPartThatIsWhole) {
  TestFolder folder;
  replace_file(folder / "file.bin.part", content());
  Server server(content(), {});
  EXPECT_EQ(read_file(fetch_file(remote(server.url()), folder.path(), {})), content());
  EXPECT_TRUE(server.requests().empty());
}

TEST(FetchFile, DoesNotFetchAFileThatIsThere) {
  TestFolder folder;
  replace_file(folder / "file.bin", content());
  Server server(content(), {});
  EXPECT_EQ(fetch_file(remote(server.url()), folder.path(), {}), folder / "file.bin");
  EXPECT_TRUE(server.requests().empty());
}

TEST(FetchFile, ReplacesAWrongFileOfThatName) {
  TestFolder folder;
  replace_file(folder / "file.bin", "wrong");
  Server server(content(), {});
  EXPECT_EQ(read_file(fetch_file(remote(server.url()), folder.path(), {})), content());
}

TEST(FetchFile, KeepsNothingOfWrongContent) {
  TestFolder folder;
  std::string wrong = content();
  wrong[1234] ^= 1;
  Server server(wrong, {});
  EXPECT_THAT(message_of<DataError>([&] { fetch_file(remote(server.url()), folder.path(), {}); }),
              AllOf(HasSubstr(sha256_text(wrong)), HasSubstr(sha256_text(content()))));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(FetchFile, StopsAtMoreBytesThanExpected) {
  TestFolder folder;
  Server server(content() + "more", {});
  EXPECT_THAT(message_of<DataError>([&] { fetch_file(remote(server.url()), folder.path(), {}); }), HasSubstr("longer"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

// A page that says that there is no such file, for example.
TEST(FetchFile, StopsAtFewerBytesThanExpected) {
  for (const bool ranges : {true, false}) {
    TestFolder folder;
    Server server("not here", {.ranges = ranges});
    EXPECT_THAT(message_of<DataError>([&] { fetch_file(remote(server.url()), folder.path(), {}); }),
                HasSubstr("ends after 8 of the expected 300000 bytes"));
    EXPECT_TRUE(fs::is_empty(folder.path()));
    EXPECT_LE(server.requests().size(), 3u);
  }
}

TEST(FetchFile, KeepsThePartWhenTheServerFails) {
  TestFolder folder;
  replace_file(folder / "file.bin.part", content().substr(0, 100000));
  Server server(content(), {.status = 503});
  EXPECT_THAT(
      message_of<IoError>([&] { fetch_file(remote(server.url()), folder.path(), {}); }),
      AllOf(HasSubstr(server.url()), HasSubstr("503"), HasSubstr("file.bin.part"), HasSubstr("goes on from there")));
  EXPECT_EQ(fs::file_size(folder / "file.bin.part"), 100000u);
}

TEST(FetchFile, SaysWhatToDoWithoutANetwork) {
  TestFolder folder;
  std::string url;
  {
    Server server(content(), {});
    url = server.url();
  }  // nobody listens there any more
  EXPECT_THAT(message_of<IoError>([&] { fetch_file(remote(url), folder.path(), {}); }),
              AllOf(HasSubstr(url), HasSubstr("MFI_DATA_URL")));
}

TEST(FetchFile, EndsWithWhatTheCallbackThrows) {
  TestFolder folder;
  Server server(content(), {});
  const auto stop = [](uint64_t, uint64_t) { throw std::runtime_error("enough"); };
  EXPECT_EQ(message_of<std::runtime_error>([&] { fetch_file(remote(server.url()), folder.path(), stop); }), "enough");
  EXPECT_FALSE(fs::exists(folder / "file.bin"));
}

TEST(FetchFile, SaysThatTheDiskIsFull) {
  TestFolder folder;
  fs::create_symlink("/dev/full", folder / "file.bin.part");
  Server server(content(), {});
  EXPECT_THAT(message_of<IoError>([&] { fetch_file(remote(server.url()), folder.path(), {}); }),
              HasSubstr("no space left on device"));
}

TEST(FetchFile, SaysWhyAFolderCannotBeWritten) {
  TestFolder folder;
  replace_file(folder / "file", "");
  EXPECT_THROW(fetch_file(remote("http://127.0.0.1:1/x"), folder / "file" / "x", {}), CannotWriteError);
}

TEST(FetchFile, ReadsAFileOfAMirrorFolder) {
  TestFolder mirror, folder;
  replace_file(mirror / "file.bin", content());
  const RemoteFile file = remote("file://" + (mirror / "file.bin").string());
  EXPECT_EQ(read_file(fetch_file(file, folder.path(), {})), content());
}

TEST(DatasetArchive, CanComeFromAMirror) {
  EXPECT_EQ(dataset_archive("cifar-10").url, "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz");
  ::setenv("MFI_DATA_URL", "http://mirror/data", 1);
  EXPECT_EQ(dataset_archive("cifar-100").url, "http://mirror/data/cifar-100-binary.tar.gz");
  ::unsetenv("MFI_DATA_URL");
}

TEST(DatasetArchive, NamesTheDatasetsThatThereAre) {
  EXPECT_THAT(message_of<UsageError>([] { dataset_archive("cifar10"); }), HasSubstr("did you mean cifar-10"));
  EXPECT_THAT(message_of<UsageError>([] { dataset_archive("sample"); }), HasSubstr("nothing to download"));
}

}  // namespace
}  // namespace mfi
