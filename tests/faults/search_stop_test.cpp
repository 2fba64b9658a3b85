// A signal in each training of a search and when it scores: it goes on, and finds what it would have found without.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::IsEmpty;
using Json = nlohmann::json;

class SearchStop : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    std::ofstream(recipe()) << kTinyRecipe;
    const auto undisturbed = run_program(arguments("whole", "0"));
    ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.error;
  }
  static void TearDownTestSuite() { delete folder_; }

  static fs::path path(const std::string& run) { return folder_->path() / run; }
  static fs::path recipe() { return folder_->path() / "tiny.toml"; }

  static std::vector<std::string> arguments(const std::string& run, const std::string& minutes) {
    std::vector<std::string> out{"search",     recipe().string(),
                                 "--out",      path(run).string(),
                                 "--target",   "params=0.9",
                                 "--progress", "json",
                                 "--set",      "checkpoint.minutes=" + minutes};
    // Long enough to be met by a signal: progress is told five times a second.
    for (const char* setting : {"hybrid.distillation=0.9", "search.flow_percent=[30]", "search.finalists=2",
                                "search.share=1", "teacher.epochs=40", "map.epochs=10", "search.epochs=40"})
      out.insert(out.end(), {"--set", setting});
    return out;
  }

  /// {file within the search's folder: what it says}, of those that the clock has no part in.
  static std::map<std::string, std::string> found(const std::string& run) {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(path(run) / "search")) {
      if (!entry.is_regular_file()) continue;
      const auto name = entry.path().filename().string();
      const auto relative = fs::relative(entry.path(), path(run) / "search").string();
      if (name == "result.json" || name == "scores.json") {
        auto json = Json::parse(file_text(entry.path()));
        json.erase("seconds");
        out[relative] = json.dump();
      } else if (name == "candidates.safetensors" || name == "metrics.csv" || entry.path().extension() == ".toml") {
        out[relative] = std::regex_replace(file_text(entry.path()), std::regex("\nminutes = .*"), "");
      }
    }
    return out;
  }

  static std::string progress_of(const std::string& step) { return R"("event":"progress","step":")" + step + "\""; }

  /// Waits for these texts, one after the other, sends the signal at each and calls the same again; at last lets it
  /// end.
  static void expect_the_same(const std::string& run, const std::string& minutes, int signal,
                              const std::vector<std::string>& texts) {
    for (const auto& text : texts) {
      Program program(arguments(run, minutes));
      ASSERT_TRUE(program.wait_for_error(text)) << text;
      program.send(signal);
      const auto ended = program.wait();
      EXPECT_EQ(ended.exit_code, 128 + signal) << text << ": " << ended.error;
      expect_to_go_on(texts, &text - texts.data(), ended);
    }
    const auto ended = run_program(arguments(run, minutes));
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    expect_to_go_on(texts, std::ssize(texts), ended);
    EXPECT_EQ(found(run), found("whole"));
    EXPECT_TRUE(fs::exists(path(run) / "search/front.json"));
  }

 private:
  // Where the call before the one with that number was stopped in a training, that one went on.
  static void expect_to_go_on(const std::vector<std::string>& texts, ptrdiff_t number, const Ended& ended) {
    for (const std::string step : {"teacher", "candidates", "tune-teacher", "tune-2"})
      if (number > 0 && texts[static_cast<size_t>(number - 1)].starts_with(progress_of(step))) {
        EXPECT_THAT(TinyRun::lost({step}, ended), IsEmpty());
      }
  }

  static inline TemporaryFolder* folder_ = nullptr;
};

TEST_F(SearchStop, GoesOnAfterAStopAndFindsTheSame) {
  expect_the_same("stopped", "0", SIGTERM,
                  {progress_of("teacher"), progress_of("candidates"), "scoring candidates", progress_of("tune-teacher"),
                   progress_of("tune-2")});
}

// With a state after every batch, of which there are some by the second epoch.
TEST_F(SearchStop, GoesOnAfterAKillAndFindsTheSame) {
  expect_the_same("killed", "1e-9", SIGKILL,
                  {progress_of("candidates") + R"(,"epoch":2)", progress_of("tune-2") + R"(,"epoch":2)"});
}

}  // namespace
}  // namespace mfi
