// The whole pipeline on a tiny network, through the program.
#include <gmock/gmock.h>

#include <algorithm>
#include <memory>

#include "mfi/cli/program.h"
#include "mfi/pipeline/predictions.h"
#include "mfi/pipeline/results.h"
#include "mfi/report/well_formed.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

// Small enough for seconds, large enough that nothing is left out. One thread: threads wait for each
// other longer than they work on networks of this size.
constexpr const char* kRecipe = R"(
name = "tiny"
[data]
dataset = "sample"
limit = 256
[network]
arch = "resnet20"
width = 8
[runtime]
precision = "fp32"
threads = 1
[teacher]
epochs = 2
batch_size = 64
[map]
epochs = 1
batch_size = 64
[meta]
epochs = 1
batch_size = 64
[incubate]
epochs = 1
batch_size = 64
[hybrid]
epochs = 2
batch_size = 64
)";

const std::vector<std::string> kSteps{"teacher", "map", "meta", "incubate-1", "incubate-2", "hybrid"};

class Run : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    std::ofstream(recipe()) << kRecipe;
    first_ = run_program(arguments("whole"));
    ASSERT_EQ(first_.exit_code, 0) << first_.error;
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static fs::path recipe() { return folder_->path() / "tiny.toml"; }
  static fs::path run(const std::string& name) { return folder_->path() / name; }
  static std::vector<std::string> arguments(const std::string& name) {
    return {"run", recipe().string(), "--out", run(name).string()};
  }
  static std::string model(const std::string& name, const std::string& step) {
    return file_text(run(name) / step / "model.safetensors");
  }
  static void expect_same_models(const std::string& name) {
    for (const auto& step : kSteps) EXPECT_TRUE(model(name, step) == model("whole", step)) << step;
  }

  static std::unique_ptr<TemporaryFolder> folder_;
  static Ended first_;
};
std::unique_ptr<TemporaryFolder> Run::folder_;
Ended Run::first_;

TEST_F(Run, EndsWithATableOfEveryStepOnStandardOutput) {
  for (const auto& step : kSteps) EXPECT_THAT(first_.out, HasSubstr("\n" + step + " "));
  EXPECT_THAT(first_.out, HasSubstr("The hybrid has "));
}

TEST_F(Run, TellsItsProgressOnStandardErrorInPlainLines) {
  EXPECT_THAT(first_.error, HasSubstr("[1/6] teacher: epoch 2/2, loss "));
  EXPECT_THAT(first_.error, HasSubstr("stage1: relative error "));
  EXPECT_THAT(first_.error, Not(HasSubstr("\r")));
}

TEST_F(Run, LeavesResultsAndMetricsOfEveryStep) {
  const auto results = read_results(run("whole") / "results.json");
  std::vector<std::string> steps;
  for (const auto& step : results.steps) steps.push_back(step.step);
  EXPECT_EQ(steps, kSteps);
  for (const auto& step : kSteps) EXPECT_TRUE(fs::exists(run("whole") / step / "metrics.csv")) << step;
}

TEST_F(Run, IsReportedWithTheSameTable) {
  const auto report = run_program({"report", run("whole")});
  EXPECT_EQ(report.exit_code, 0);
  EXPECT_EQ(report.out, first_.out);
}

TEST_F(Run, EndsWithAPageThatHasEverySection) {
  const auto page = file_text(run("whole") / "report.html");
  EXPECT_EQ(markup_problem(page), "");
  for (const char* id : {"outcome", "parts", "curves", "mapping", "size", "confusion", "disputed", "repeat"})
    EXPECT_THAT(page, HasSubstr("<section id=\"" + std::string(id) + "\""));
  for (const char* fetched : {"http://", "https://", "<script", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(fetched)));
  EXPECT_THAT(page, HasSubstr("src=\"data:image/png;base64,"));
  // Latency may be missing, as on a machine that has other work; all else is there.
  for (size_t at = page.find("class=\"missing\">"); at != std::string::npos;
       at = page.find("class=\"missing\">", at + 1))
    EXPECT_THAT(page.substr(at, 80), HasSubstr("Latency is missing"));
  EXPECT_THAT(first_.error, HasSubstr("report.html shows it"));
}

TEST_F(Run, LeavesWhatEachStepAnswered) {
  for (const auto& step : read_results(run("whole") / "results.json").steps) {
    const auto answers = read_predictions(run("whole") / step.step / kPredictionsFile);
    double right = 0;
    for (size_t i = 0; i < answers.labels.size(); ++i) right += answers.classes[i] == answers.labels[i];
    EXPECT_NEAR(100 * right / static_cast<double>(answers.labels.size()), step.test_top1_percent, 1e-9) << step.step;
  }
}

// The run had the images open, the report opens them again.
TEST_F(Run, IsReportedWithTheSamePage) {
  const auto one = folder_->path() / "one.html", other = folder_->path() / "other.html";
  for (const auto& file : {one, other}) {
    const auto ended = run_program({"report", run("whole"), "--html", file, "--no-latency"});
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    EXPECT_EQ(ended.out, "");
  }
  EXPECT_TRUE(file_text(one) == file_text(other));
  EXPECT_THAT(file_text(one), HasSubstr("Latency is missing: it was not asked for (--no-latency)."));
  const auto picture = [](const std::string& page) { return page.substr(page.find("<section id=\"disputed\"")); };
  EXPECT_TRUE(picture(file_text(one)) == picture(file_text(run("whole") / "report.html")));
}

TEST_F(Run, IsComparedWithAnother) {
  const auto copy = run("copy");
  fs::copy(run("whole"), copy, fs::copy_options::recursive);
  auto recipe = file_text(copy / "recipe.toml");
  recipe.replace(recipe.find("seed = 0"), 8, "seed = 5");
  std::ofstream(copy / "recipe.toml") << recipe;
  const auto text = run_program({"report", run("whole"), copy});
  EXPECT_EQ(text.exit_code, 0) << text.error;
  EXPECT_THAT(text.out, HasSubstr("copy   hybrid"));
  EXPECT_THAT(text.out, HasSubstr("seed  0      5\n"));
  const auto file = folder_->path() / "comparison.html";
  EXPECT_EQ(run_program({"report", run("whole"), copy, "--html", file}).exit_code, 0);
  EXPECT_EQ(markup_problem(file_text(file)), "");
}

TEST_F(Run, DoesNothingASecondTime) {
  const auto before = fs::last_write_time(run("whole") / "hybrid/model.safetensors");
  const auto again = run_program(arguments("whole"));
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.out, first_.out);
  for (const auto& step : kSteps) EXPECT_THAT(again.error, HasSubstr(step + ": already done"));
  EXPECT_EQ(fs::last_write_time(run("whole") / "hybrid/model.safetensors"), before);
}

TEST_F(Run, HasModelsThatCanBeEvaluated) {
  const auto ended = run_program({"eval", run("whole") / "hybrid/model.safetensors"});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("test images of sample"));
}

TEST_F(Run, HasModelsThatCanBeInspected) {
  const auto ended = run_program({"inspect", run("whole") / "hybrid/model.safetensors"});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("flow: 2 modules"));
}

TEST_F(Run, EndsWithTheSameModelsWhenItWasKilledOnTheWay) {
  Program killed(arguments("killed"));
  ASSERT_TRUE(killed.wait_for(run("killed") / "teacher/state-a.safetensors"));
  killed.send(SIGKILL);
  EXPECT_EQ(killed.wait().exit_code, 128 + SIGKILL);
  ASSERT_FALSE(fs::exists(run("killed") / "hybrid"));

  const auto ended = run_program(arguments("killed"));
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.error, HasSubstr("teacher: going on after epoch "));  // not from the start
  expect_same_models("killed");
}

TEST_F(Run, StopsPolitelyOnSignalsAndGoesOn) {
  Program interrupted(arguments("stopped"));
  ASSERT_TRUE(interrupted.wait_for(run("stopped") / "teacher/state-a.safetensors"));
  interrupted.send(SIGINT);
  const auto first = interrupted.wait();
  EXPECT_EQ(first.exit_code, 130);
  EXPECT_THAT(first.error, HasSubstr("mfi: stopped by Ctrl-C"));

  Program terminated(arguments("stopped"));
  ASSERT_TRUE(terminated.wait_for(run("stopped") / "map/metrics.csv"));
  terminated.send(SIGTERM);
  EXPECT_EQ(terminated.wait().exit_code, 143);

  const auto ended = run_program(arguments("stopped"));
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  expect_same_models("stopped");
}

TEST_F(Run, AsksBeforeAChangedRecipeReplacesWhatIsTrained) {
  fs::copy(run("whole"), run("changed"), fs::copy_options::recursive);
  auto words = arguments("changed");
  words.insert(words.end(), {"--set", "hybrid.learning_rate=0.002"});
  const auto refused = run_program(words);  // nobody is there to answer
  EXPECT_EQ(refused.exit_code, 64);
  EXPECT_THAT(refused.error,
              HasSubstr("the recipe has changed (hybrid.learning_rate 0.001 -> 0.002), so these steps are "
                        "trained again and replaced: hybrid (done). Nothing was changed; add --yes"));
  expect_same_models("changed");
  EXPECT_EQ(file_text(run("changed") / "recipe.toml"), file_text(run("whole") / "recipe.toml"));
  words.push_back("--yes");
  const auto ended = run_program(words);
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.error, HasSubstr("incubate-2: already done"));
  EXPECT_TRUE(model("changed", "hybrid") != model("whole", "hybrid"));
}

TEST_F(Run, IsExtendedByMoreEpochs) {
  fs::copy(run("whole"), run("extended"), fs::copy_options::recursive);
  auto words = arguments("extended");
  words.insert(words.end(), {"--set", "hybrid.epochs=3", "--yes"});
  const auto ended = run_program(words);
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.error, HasSubstr("hybrid (done, now longer)"));
  EXPECT_THAT(ended.error, HasSubstr("hybrid: extended from 2 to 3 epochs."));
  EXPECT_THAT(ended.error, HasSubstr("hybrid: going on after epoch 2 of 2"));
  EXPECT_EQ(std::ranges::count(file_text(run("extended") / "hybrid/metrics.csv"), '\n'), 4);
}

TEST_F(Run, AsksBeforeItIsShortened) {
  fs::copy(run("whole"), run("shortened"), fs::copy_options::recursive);
  auto words = arguments("shortened");
  words.insert(words.end(), {"--set", "hybrid.epochs=1"});
  const auto refused = run_program(words);
  EXPECT_EQ(refused.exit_code, 64);
  EXPECT_THAT(refused.error, HasSubstr("hybrid (done)"));
}

TEST_F(Run, IsNotDoneWithAForcedStepThatWasInterrupted) {
  fs::copy(run("whole"), run("forced-twice"), fs::copy_options::recursive);
  auto words = arguments("forced-twice");
  words.insert(words.end(), {"--force", "teacher"});
  fs::remove(run("forced-twice") / "teacher/state-a.safetensors");
  fs::remove(run("forced-twice") / "teacher/state-b.safetensors");
  Program interrupted(words);
  ASSERT_TRUE(interrupted.wait_for(run("forced-twice") / "teacher/state-a.safetensors"));
  interrupted.send(SIGTERM);
  ASSERT_EQ(interrupted.wait().exit_code, 143);
  const auto ended = run_program(arguments("forced-twice"));
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.error, HasSubstr("teacher: going on after "));
  EXPECT_THAT(ended.error, HasSubstr("hybrid: already done"));  // for the teacher came out as before
  expect_same_models("forced-twice");
}

TEST_F(Run, AsksForWhatBuildsOnAForcedStepOfOtherSettings) {
  fs::copy(run("whole"), run("forced-other"), fs::copy_options::recursive);
  auto words = arguments("forced-other");
  words.insert(words.end(), {"--force", "teacher", "--set", "teacher.learning_rate=0.01"});
  const auto refused = run_program(words);
  EXPECT_EQ(refused.exit_code, 64);
  EXPECT_THAT(refused.error, HasSubstr("replaced: map (done), meta (done)"));
}

TEST_F(Run, RunsAStepAgainWhenForced) {
  fs::copy(run("whole"), run("forced"), fs::copy_options::recursive);
  auto words = arguments("forced");
  words.insert(words.end(), {"--force", "meta"});
  const auto ended = run_program(words);
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.error, HasSubstr("map: already done"));
  EXPECT_THAT(ended.error, HasSubstr("meta: done"));
  expect_same_models("forced");  // the same settings again give the same bytes
}

TEST_F(Run, WritesNothingButTheTableWithProgressNone) {
  auto words = arguments("whole");
  words.insert(words.end(), {"--progress", "none"});
  const auto ended = run_program(words);
  EXPECT_EQ(ended.error, "");
  EXPECT_EQ(ended.out, first_.out);
}

}  // namespace
}  // namespace mfi
