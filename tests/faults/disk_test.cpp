// Folders and disks that cannot be written: a tmpfs that is full, a folder that is read-only.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

/// A small file system of its own; only root may make one.
class SmallDisk {
 public:
  SmallDisk(const fs::path& place, const std::string& options) : place_(place) {
    fs::create_directories(place);
    mounted_ = mount("mfi-test", place.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(place_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  void remount(const std::string& options) const {
    ASSERT_EQ(mount("mfi-test", place_.c_str(), "tmpfs", MS_REMOUNT, options.c_str()), 0);
  }

 private:
  fs::path place_;
  bool mounted_ = false;
};

TEST(Disk, ThatIsTooSmallIsNoticedBeforeAStep) {
  const TinyRun runs;
  const SmallDisk disk(runs.path("full"), "size=200k");
  if (!disk.mounted()) GTEST_SKIP() << "only root can make a small file system";
  const auto ended = run_program(runs.arguments("full"));
  EXPECT_EQ(ended.exit_code, 74);
  EXPECT_THAT(ended.error, HasSubstr(" free, the step teacher needs "));
  disk.remount("size=64m");
  EXPECT_EQ(runs.finish("full").exit_code, 0);
  EXPECT_THAT(runs.differences("full"), IsEmpty());
}

TEST(Disk, ThatFillsUpMeanwhileEndsTheRunAndKeepsWhatWasSaved) {
  const TinyRun runs;
  const SmallDisk disk(runs.path("filling"), "size=64m");
  if (!disk.mounted()) GTEST_SKIP() << "only root can make a small file system";
  Program program(runs.arguments("filling"));
  ASSERT_TRUE(program.wait_for(runs.path("filling") / "teacher/state-b.safetensors"));
  // Somebody else takes all of it.
  std::ofstream other(runs.path("filling") / "other", std::ios::binary);
  const std::string block(1 << 16, 'x');
  while (other.write(block.data(), static_cast<std::streamsize>(block.size())) && other.flush()) {
  }
  const auto ended = program.wait();
  EXPECT_EQ(ended.exit_code, 74) << ended.error;
  EXPECT_THAT(ended.error, AnyOf(HasSubstr("no space left on device"), HasSubstr(" free, the step ")));
  EXPECT_THAT(runs.broken("filling"), IsEmpty());
  other.close();
  fs::remove(runs.path("filling") / "other");
  EXPECT_EQ(runs.finish("filling").exit_code, 0);
  EXPECT_THAT(runs.differences("filling"), IsEmpty());
}

TEST(Disk, ThatIsReadOnlyIsNamed) {
  const TinyRun runs;
  const SmallDisk disk(runs.path("fixed"), "size=64m,ro");
  if (!disk.mounted()) GTEST_SKIP() << "only root can make a small file system";
  const auto ended = run_program(runs.arguments("fixed"));
  EXPECT_EQ(ended.exit_code, 73);
  EXPECT_THAT(ended.error, HasSubstr(runs.path("fixed").string()));
}

}  // namespace
}  // namespace mfi
