// Pictures and their cache that are cut off while a run reads them.
#include <gmock/gmock.h>

#include <functional>

#include "mfi/formats/picture.h"
#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Two classes of coloured noise, 24 pictures of 32 x 32 in train and 8 in test.
class PictureRun : public TinyRun {
 public:
  PictureRun() {
    unsigned noise = 1;
    for (const auto& [part, count] : {std::pair{"train", 24}, {"test", 8}})
      for (int i = 0; i < count; ++i) {
        const auto file = pictures() / part / (i % 2 == 0 ? "even" : "odd") / (std::to_string(100 + i) + ".png");
        fs::create_directories(file.parent_path());
        RgbImage image{32, 32, std::vector<uint8_t>(3 * 32 * 32)};
        for (auto& value : image.pixels)
          value = static_cast<uint8_t>((noise = noise * 1664525 + 1013904223) >> (i % 2 == 0 ? 24 : 25));
        std::ofstream(file, std::ios::binary) << encode_png(image);
      }
  }

  fs::path pictures() const { return path("pictures"); }
  Environment environment() const { return {{"XDG_CACHE_HOME", path("cache").string()}}; }

  /// Of more epochs than anybody waits for.
  std::vector<std::string> endless(const std::string& run, const std::string& cache) const {
    auto out = arguments(run);
    for (const std::string setting :
         {"data.dataset=pictures", "data.limit=0", "teacher.epochs=20000", "teacher.batch_size=8"})
      out.insert(out.end(), {"--set", setting});
    out.insert(out.end(), {"--set", "data.cache=" + cache, "--data", pictures()});
    return out;
  }
};

// Where the training stands, by its state.
std::string going_on(const Ended& ended) {
  const auto at = ended.error.find("going on after ");
  return at == std::string::npos ? "" : ended.error.substr(at, ended.error.find('"', at) - at);
}

void expect_named_and_gone_on_from(const PictureRun& runs, const std::string& cache,
                                   const std::function<fs::path()>& file, int exit_code) {
  const auto arguments = runs.endless("run", cache);
  Program program(arguments, runs.environment());
  ASSERT_TRUE(program.wait_for(runs.path("run") / "teacher/state-b.safetensors"));
  const auto damaged = file();
  const auto whole = file_text(damaged);
  fs::resize_file(damaged, whole.size() / 2);
  const auto ended = program.wait();
  EXPECT_EQ(ended.exit_code, exit_code) << ended.error;
  EXPECT_THAT(ended.error, HasSubstr(damaged.filename().string()));
  EXPECT_THAT(runs.broken("run"), IsEmpty());
  std::ofstream(damaged, std::ios::binary) << whole;
  Program again(arguments, runs.environment());
  ASSERT_TRUE(again.wait_for_error("\"event\":\"progress\""));
  again.send(SIGTERM);
  EXPECT_THAT(going_on(again.wait()), HasSubstr("going on after "));
}

TEST(Data, CutOffPictureEndsTheRunWithItsName) {
  const PictureRun runs;
  expect_named_and_gone_on_from(
      runs, "none", [&] { return runs.pictures() / "train/odd/103.png"; }, 65);
}

TEST(Data, CutOffCacheEndsTheRunWithItsName) {
  const PictureRun runs;
  const auto cache = [&] {
    for (const auto& entry : fs::recursive_directory_iterator(runs.path("cache")))
      if (entry.is_regular_file() && entry.path().extension() == ".pictures") return entry.path();
    return fs::path();
  };
  expect_named_and_gone_on_from(runs, "disk", cache, 74);
}

}  // namespace
}  // namespace mfi
