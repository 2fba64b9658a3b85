// A stop signal in each training of a search: it goes on, and finds what it would have found without.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::IsEmpty;
using Json = nlohmann::json;

class SearchStop : public testing::Test {
 protected:
  SearchStop() { std::ofstream(recipe()) << kTinyRecipe; }

  fs::path path(const std::string& run) const { return folder_.path() / run; }
  fs::path recipe() const { return folder_.path() / "tiny.toml"; }

  std::vector<std::string> arguments(const std::string& run) const {
    std::vector<std::string> out{"search",   recipe().string(), "--out",      path(run).string(),
                                 "--target", "params=0.9",      "--progress", "json"};
    // Long enough to be met by a signal: progress is told five times a second.
    for (const char* setting :
         {"checkpoint.minutes=0", "hybrid.distillation=0.9", "search.flow_percent=[30]", "search.finalists=2",
          "search.share=1", "teacher.epochs=40", "map.epochs=10", "search.epochs=40"})
      out.insert(out.end(), {"--set", setting});
    return out;
  }

  /// {file within the search's folder: what it says}, of those that the clock has no part in.
  std::map<std::string, std::string> found(const std::string& run) const {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(path(run) / "search")) {
      if (!entry.is_regular_file()) continue;
      const auto name = entry.path().filename().string();
      const auto relative = fs::relative(entry.path(), path(run) / "search").string();
      if (name == "result.json") {
        auto json = Json::parse(file_text(entry.path()));
        json.erase("seconds");
        out[relative] = json.dump();
      } else if (name == "candidates.safetensors" || name == "scores.json" || name == "metrics.csv" ||
                 entry.path().extension() == ".toml") {
        out[relative] = file_text(entry.path());
      }
    }
    return out;
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(SearchStop, InEachTrainingGoesOnAndFindsTheSame) {
  const auto undisturbed = run_program(arguments("whole"));
  ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.error;
  std::string before;
  for (const std::string step : {"teacher", "candidates", "tune-teacher", "tune-2"}) {
    Program program(arguments("stopped"));
    ASSERT_TRUE(program.wait_for_error("\"event\":\"progress\",\"step\":\"" + step + "\"")) << step;
    program.send(SIGTERM);
    const auto ended = program.wait();
    EXPECT_EQ(ended.exit_code, 143) << step << ": " << ended.error;
    if (!before.empty()) {
      EXPECT_THAT(TinyRun::lost({before}, ended), IsEmpty());
    }
    before = step;
  }
  const auto ended = run_program(arguments("stopped"));
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(TinyRun::lost({before}, ended), IsEmpty());
  EXPECT_EQ(found("stopped"), found("whole"));
  EXPECT_TRUE(fs::exists(path("stopped") / "search/front.json"));
}

}  // namespace
}  // namespace mfi
