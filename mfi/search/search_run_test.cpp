#include "mfi/search/search_run.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/test_folder.h"
#include "mfi/core/text.h"
#include "mfi/search/search_recipes.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Log : public RunObserver {
 public:
  void on_step_done(const StepResult& result, bool was_already_done) override {
    if (was_already_done) return;
    trained.push_back(result.step);
    epochs.push_back(result.epochs);
  }
  void on_message(const std::string& text) override { messages.push_back(text); }
  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override {
    for (const auto* other : remaining) expected[step.name].push_back(other->name);
  }
  std::vector<std::string> trained, messages;
  std::map<std::string, std::vector<std::string>> expected;  // at the start of each step
  std::vector<int64_t> epochs;                               // of what was trained
};

Recipe tiny_recipe() {
  Recipe recipe;
  recipe.name = "tiny";
  recipe.data.dataset = "sample";
  recipe.data.limit = 200;
  recipe.network = {.arch = "resnet20", .width = 16};  // narrower blocks have 16 channels
  recipe.runtime.precision = "fp32";
  for (auto* step : {&recipe.teacher, &recipe.map, &recipe.hybrid}) {
    step->epochs = 1;
    step->batch_size = 20;
  }
  recipe.search.flow_percent = {30};
  recipe.search.finalists = 3;
  recipe.search.share = 0.5;
  return recipe;
}

class FinishedSearch : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TestFolder;
    Log log;
    results_ = new SearchResults(run_search(tiny_recipe(), options(out(), 0.6), log));
    trained_ = new std::vector<std::string>(log.trained);
    expected_ = log.expected;
    epochs_ = log.epochs;
  }
  static void TearDownTestSuite() {
    delete trained_;
    delete results_;
    delete folder_;
  }
  static fs::path out() { return folder_->path() / "run"; }
  static SearchOptions options(const fs::path& out, double share) {
    SearchOptions options;
    options.run.out = out;
    options.targets = {{SearchTarget::Kind::parameters, share}};
    return options;
  }

  static inline TestFolder* folder_ = nullptr;
  static inline SearchResults* results_ = nullptr;
  static inline std::vector<std::string>* trained_ = nullptr;
  static inline std::vector<int64_t> epochs_;
  static inline std::map<std::string, std::vector<std::string>> expected_;
};

TEST_F(FinishedSearch, HasTrainedTeacherCandidatesAndFinalists) {
  EXPECT_THAT(*trained_, testing::ElementsAre("teacher", "candidates", "tune-teacher", "tune-1", "tune-2", "tune-3"));
  EXPECT_THAT(epochs_, testing::Each(1)) << "by which the time left is told";
  for (size_t i = 0; i < trained_->size(); ++i)
    EXPECT_THAT(expected_.at((*trained_)[i]),
                testing::ElementsAreArray(trained_->begin() + static_cast<ptrdiff_t>(i), trained_->end()));
  EXPECT_EQ(results_->points.size(), 3u);
  EXPECT_EQ(results_->held_out_images, 20);
  EXPECT_EQ(results_->tuned_images, 90);
}

bool has_narrower_blocks(const SearchPoint& point) {
  return std::ranges::any_of(point.stages, [](const auto& name) { return name.find("-w") != std::string::npos; });
}

TEST_F(FinishedSearch, HasFinalistsWithNarrowerBlocksAndWithout) {
  EXPECT_TRUE(std::ranges::any_of(results_->points, has_narrower_blocks));
  EXPECT_FALSE(std::ranges::all_of(results_->points, has_narrower_blocks));
}

// For the time that is left.
TEST(SearchPlan, SaysHowManyImagesEachStepSees) {
  auto recipe = tiny_recipe();
  DataShape data{.classes = 10, .image_size = 32, .training_images = 200};
  EXPECT_DOUBLE_EQ(search_plan(recipe, data).step("candidates").images_share, 0.9);
  EXPECT_DOUBLE_EQ(search_plan(recipe, data).step("tune-3").images_share, 0.45);
  data.validation_images = 20;
  EXPECT_DOUBLE_EQ(search_plan(recipe, data).step("candidates").images_share, 1);
  EXPECT_DOUBLE_EQ(search_plan(recipe, data).step("tune-teacher").images_share, 0.5);
}

TEST_F(FinishedSearch, ChoosesTheMostAccurateWithinTheTarget) {
  const auto* chosen = results_->chosen();
  ASSERT_TRUE(chosen);
  EXPECT_EQ(read_file(out() / "search/chosen.toml"), read_file(out() / "search" / (chosen->name + ".toml")));
  EXPECT_LE(chosen->parameters, 0.6 * static_cast<double>(results_->teacher.parameters));
  for (const auto& point : results_->points)
    if (static_cast<double>(point.parameters) <= 0.6 * static_cast<double>(results_->teacher.parameters)) {
      EXPECT_LE(point.held_out_percent, chosen->held_out_percent);
    }
}

// What single candidates and pairs say is exact where no more than two neighbours are exchanged.
TEST_F(FinishedSearch, MeasuresTheWholeNetworkBeforeItsFineTuning) {
  EXPECT_NEAR(results_->teacher.measured, 0, 1e-6);
  int exact = 0;
  for (const auto& point : results_->points) {
    EXPECT_GT(point.measured, 0);
    if (point.stages.front() == "all" || point.stages.back() == "all") {
      EXPECT_NEAR(point.measured, point.divergence, 1e-4) << point.name;
      ++exact;
    }
  }
  EXPECT_GT(exact, 0);
  EXPECT_GT(results_->mapping_seconds, 0);
  EXPECT_GT(results_->scoring_seconds, 0);
}

TEST_F(FinishedSearch, ReadsWhatWasWrittenBeforeWholeNetworksWereMeasured) {
  const auto copy = folder_->path() / "before";
  fs::create_directories(copy);
  auto json = nlohmann::json::parse(read_file(out() / "search/front.json"));
  for (const char* key : {"mapping_seconds", "scoring_seconds"}) EXPECT_EQ(json.erase(key), 1u);
  for (auto& point : json["points"])
    for (const char* key : {"measured_divergence", "seconds"}) EXPECT_EQ(point.erase(key), 1u);
  replace_file(copy / "front.json", json.dump());
  const auto read = read_search_results(copy);
  EXPECT_LT(read.points[0].measured, 0);
  EXPECT_LT(read.mapping_seconds, 0);
}

TEST_F(FinishedSearch, MeasuresWhatWasFineTunedBeforeNetworksWereMeasured) {
  const auto copy = folder_->path() / "not measured";
  fs::copy(out(), copy, fs::copy_options::recursive);
  std::vector<fs::path> records;
  for (const auto& entry : fs::directory_iterator(copy / "search"))
    if (entry.path().filename().string().starts_with("tuned-")) records.push_back(entry.path() / "result.json");
  std::map<fs::path, std::string> before;
  for (const auto& file : records) {
    before[file] = read_file(file);
    auto json = nlohmann::ordered_json::parse(before[file]);
    ASSERT_EQ(json.erase("measured_divergence"), 1u);
    replace_file(file, json.dump());
  }
  ASSERT_EQ(records.size(), 4u);
  Log log;
  const auto results = run_search(tiny_recipe(), options(copy, 0.6), log);
  EXPECT_THAT(log.trained, IsEmpty());
  for (size_t i = 0; i < results.points.size(); ++i)
    EXPECT_EQ(results.points[i].measured, results_->points[i].measured);
  for (const auto& file : records)
    EXPECT_EQ(nlohmann::json::parse(read_file(file)), nlohmann::json::parse(before[file])) << "and keeps it";
}

// map.own_input is about a student, which a search does not have.
TEST_F(FinishedSearch, MapsNothingAnewForWhatPlaysNoPart) {
  const auto copy = folder_->path() / "own input";
  fs::copy(out(), copy, fs::copy_options::recursive);
  auto recipe = tiny_recipe();
  recipe.map.own_input = 1;
  Log log;
  run_search(recipe, options(copy, 0.6), log);
  EXPECT_THAT(log.trained, IsEmpty());
}

TEST_F(FinishedSearch, ChoosesByMeasuredTimes) {
  const auto copy = folder_->path() / "fast";
  fs::copy(out(), copy, fs::copy_options::recursive);
  auto asked = options(copy, 0.95);
  asked.targets[0].kind = SearchTarget::Kind::latency;
  Log log;
  const auto results = run_search(tiny_recipe(), asked, log);
  ASSERT_TRUE(results.chosen());
  EXPECT_LE(results.chosen()->milliseconds, 0.95 * results.teacher.milliseconds);
  double before = 0;
  for (const auto& point : results.points) {
    EXPECT_GE(point.milliseconds, before) << "sorted by what was asked for";
    before = point.milliseconds;
  }
  EXPECT_GT(before, 0);
  EXPECT_EQ(results.target, "latency=0.95");
}

TEST_F(FinishedSearch, WritesWhatItFoundAndReadsItAgain) {
  const auto read = read_search_results(out() / "search");
  ASSERT_EQ(read.points.size(), results_->points.size());
  for (size_t i = 0; i < read.points.size(); ++i) {
    EXPECT_EQ(read.points[i].stages, results_->points[i].stages);
    EXPECT_EQ(read.points[i].held_out_percent, results_->points[i].held_out_percent);
    EXPECT_EQ(read.points[i].measured, results_->points[i].measured);
    EXPECT_EQ(read.points[i].seconds, results_->points[i].seconds);
  }
  EXPECT_EQ(read.candidates.size(), 3u);
  EXPECT_EQ(read.target, "params=0.6");
  EXPECT_THAT(read_file(out() / "search/front.csv"), HasSubstr("\npoint-1,"));
}

TEST_F(FinishedSearch, IsNotDoneAgainAndAnotherTargetTrainsOnlyWhatIsNew) {
  const auto copy = folder_->path() / "copy";
  fs::copy(out(), copy, fs::copy_options::recursive);
  Log again;
  const auto same = run_search(tiny_recipe(), options(copy, 0.6), again);
  EXPECT_THAT(again.trained, IsEmpty());
  EXPECT_EQ(same.points.size(), results_->points.size());
  Log other;
  const auto larger = run_search(tiny_recipe(), options(copy, 0.95), other);
  const auto is_new = [](const SearchPoint& point) {
    return std::ranges::none_of(results_->points, [&](const auto& old) { return old.stages == point.stages; });
  };
  ASSERT_TRUE(std::ranges::any_of(larger.points, is_new));
  std::vector<std::string> expected;
  for (const auto& point : larger.points)
    if (is_new(point)) expected.push_back("tune-" + point.name.substr(std::string("point-").size()));
  EXPECT_THAT(other.trained, testing::UnorderedElementsAreArray(expected));
}

TEST_F(FinishedSearch, GivesARecipeThatARunTurnsIntoThatNetwork) {
  const auto point = *std::ranges::find_if(results_->points, has_narrower_blocks);
  const auto recipe = read_recipe(out() / "search" / (point.name + ".toml"));
  EXPECT_EQ(recipe.name,
            format("tiny-params%.0f-macs%.0f",
                   100.0 * static_cast<double>(point.parameters) / static_cast<double>(results_->teacher.parameters),
                   100.0 * static_cast<double>(point.macs) / static_cast<double>(results_->teacher.macs)));
  RunOptions run;
  run.out = folder_->path() / "made";
  RunObserver silent;
  const auto made = run_pipeline(recipe, run, silent);
  ASSERT_TRUE(made.find("hybrid"));
  EXPECT_EQ(made.find("hybrid")->parameters, point.parameters);
  EXPECT_EQ(made.find("hybrid")->macs, point.macs);
}

// Some of its trainings diverge, as far as the search can tell.
class Diverging : public RunObserver {
 public:
  explicit Diverging(std::vector<std::string> steps) : steps_(std::move(steps)) {}
  void on_phase(const std::string& step, const std::string& phase) override {
    if (phase == "train" && std::find(steps_.begin(), steps_.end(), step) != steps_.end())
      throw DivergedError(step + ": the loss is not finite");
  }
  void on_step_failed(const std::string& step, const std::string& why) override { failed[step] = why; }
  std::map<std::string, std::string> failed;

 private:
  std::vector<std::string> steps_;
};

TEST_F(FinishedSearch, LeavesOutACombinationWhoseTrainingDiverges) {
  const auto copy = folder_->path() / "diverging";
  fs::copy(out(), copy, fs::copy_options::recursive);
  for (const auto& entry : fs::directory_iterator(out() / "search"))
    if (entry.path().filename().string().starts_with("tuned-"))
      fs::remove_all(copy / "search" / entry.path().filename());
  Diverging none({"tune-1", "tune-2", "tune-3"});
  EXPECT_THROW(run_search(tiny_recipe(), options(copy, 0.6), none), DivergedError);
  Diverging second({"tune-2"});
  const auto results = run_search(tiny_recipe(), options(copy, 0.6), second);
  EXPECT_THAT(second.failed, testing::ElementsAre(testing::Pair(
                                 "tune-2", "tune-2: the loss is not finite; this combination is left out")));
  ASSERT_EQ(results.points.size(), 2u);
  EXPECT_EQ(results.points[1].name, "point-3");
  EXPECT_TRUE(fs::exists(copy / "search/point-3.toml"));
  EXPECT_FALSE(fs::exists(copy / "search/point-2.toml"));
}

TEST_F(FinishedSearch, KeepsCandidatesOfOtherSettingsAndRecipesOfOthers) {
  const auto copy = folder_->path() / "others";
  fs::copy(out(), copy, fs::copy_options::recursive);
  replace_file(copy / "search/point-2-longer.toml", "extends = \"point-2.toml\"\n");
  replace_file(copy / "search/point-99.toml", "");
  auto recipe = tiny_recipe();
  recipe.search.flow_percent = {20};
  Log other, back;
  run_search(recipe, options(copy, 0.6), other);
  EXPECT_THAT(other.trained, testing::Contains("candidates"));
  EXPECT_THAT(other.trained, Not(testing::Contains("tune-teacher")));
  run_search(tiny_recipe(), options(copy, 0.6), back);
  EXPECT_THAT(back.trained, IsEmpty());
  EXPECT_TRUE(fs::exists(copy / "search/point-2-longer.toml"));
  EXPECT_FALSE(fs::exists(copy / "search/point-99.toml"));
}

TEST_F(FinishedSearch, LeavesTheRecordOfAWholeRunAlone) {
  const auto copy = folder_->path() / "whole";
  fs::copy(out(), copy, fs::copy_options::recursive);
  auto recipe = tiny_recipe();
  recipe.pipeline.blocks = {3, 3, 1};
  recipe.hybrid.epochs = 2;
  RunOptions run;
  run.out = copy;
  RunObserver silent;
  run_pipeline(recipe, run, silent);
  const auto recipe_before = read_file(copy / "recipe.toml"), results_before = read_file(copy / "results.json");
  ASSERT_TRUE(collect_results(copy).find("hybrid"));
  Log log;
  run_search(tiny_recipe(), options(copy, 0.6), log);
  EXPECT_THAT(log.trained, IsEmpty());
  EXPECT_EQ(read_file(copy / "recipe.toml"), recipe_before);
  EXPECT_EQ(read_file(copy / "results.json"), results_before);
}

TEST_F(FinishedSearch, SaysThatLabelsAloneJudgeBadly) {
  Log plain, soft;
  const auto same = folder_->path() / "plain";
  fs::copy(out(), same, fs::copy_options::recursive);
  run_search(tiny_recipe(), options(same, 0.6), plain);
  EXPECT_THAT(plain.messages, testing::Contains(HasSubstr("hybrid.distillation is 0")));
  auto recipe = tiny_recipe();
  recipe.hybrid.distillation = 0.9;
  const auto copy = folder_->path() / "soft";
  fs::copy(out(), copy, fs::copy_options::recursive);
  run_search(recipe, options(copy, 0.6), soft);
  EXPECT_THAT(soft.messages, Not(testing::Contains(HasSubstr("hybrid.distillation"))));
  EXPECT_THAT(read_file(copy / "recipe.toml"), HasSubstr("distillation = 0.9"))
      << "of the teacher alone there is no run";
}

TEST_F(FinishedSearch, SaysThatATeacherMayKnowTheImagesThatJudge) {
  const auto warns = [&](const Recipe& recipe, std::optional<double> max_drop, const char* run) {
    const auto copy = folder_->path() / run;
    fs::create_directories(copy);
    fs::copy(out() / "teacher", copy / "teacher", fs::copy_options::recursive);
    auto asked = options(copy, 0.01);  // nothing reaches it, so the search ends before the mapping
    asked.targets[0].kind = SearchTarget::Kind::latency;
    asked.max_drop = max_drop;
    Log log;
    EXPECT_THROW(run_search(recipe, asked, log), RecipeError);
    return std::ranges::any_of(
        log.messages, [](const auto& text) { return text.find("--max-drop asks for more") != std::string::npos; });
  };
  EXPECT_FALSE(warns(tiny_recipe(), std::nullopt, "not asked"));
  EXPECT_TRUE(warns(tiny_recipe(), 50, "not held out"));
  auto held_out = tiny_recipe();
  held_out.data.validation = 0.1;
  EXPECT_FALSE(warns(held_out, 50, "held out"));
  held_out.network.model = (out() / "teacher/model.safetensors").string();
  EXPECT_TRUE(warns(held_out, 50, "given"));
}

TEST_F(FinishedSearch, AsksForNoHybridOfTheRecipes) {
  auto recipe = tiny_recipe();
  recipe.controls.smaller_resnet = true;
  recipe.controls.smaller_width = 64;  // wider than any hybrid
  const auto copy = folder_->path() / "impossible";
  fs::create_directories(copy);
  fs::copy(out() / "teacher", copy / "teacher", fs::copy_options::recursive);
  auto asked = options(copy, 0.01);  // nothing reaches it, so the search ends before the mapping
  asked.targets[0].kind = SearchTarget::Kind::latency;
  Log log;
  EXPECT_THAT(message_of<RecipeError>([&] { run_search(recipe, asked, log); }), HasSubstr("no combination"));
}

TEST(RecipesOfASearch, AreToldApartWhereTheyHaveAsManyPercent) {
  std::map<std::string, int> called;
  EXPECT_EQ(told_apart("params28-macs46", called), "params28-macs46");
  EXPECT_EQ(told_apart("params28-macs40", called), "params28-macs40");
  EXPECT_EQ(told_apart("params28-macs46", called), "params28-macs46-2");
  EXPECT_EQ(told_apart("params28-macs46", called), "params28-macs46-3");
}

TEST_F(FinishedSearch, LetsNobodyElseReplaceItsTeacher) {
  const auto copy = folder_->path() / "locked";
  fs::copy(out(), copy, fs::copy_options::recursive);
  const auto recipe_before = read_file(copy / "recipe.toml");
  const RunLock other(copy / "search");
  auto recipe = tiny_recipe();
  recipe.teacher.learning_rate /= 2;
  Log log;
  EXPECT_THROW(run_search(recipe, options(copy, 0.6), log), BusyError);
  EXPECT_THAT(log.trained, IsEmpty());
  EXPECT_EQ(read_file(copy / "recipe.toml"), recipe_before);
}

TEST_F(FinishedSearch, WritesNoRecipesForATeacherThatIsNotTheOneItBeganWith) {
  class Replacing : public RunObserver {
   public:
    explicit Replacing(fs::path file) : file_(std::move(file)) {}
    void on_message(const std::string& text) override {
      if (text.starts_with("point-1 ")) replace_file(file_, "another");
    }

   private:
    fs::path file_;
  };
  const auto copy = folder_->path() / "replaced";
  fs::copy(out(), copy, fs::copy_options::recursive);
  Replacing observer(copy / "teacher/model.safetensors");
  EXPECT_THROW(run_search(tiny_recipe(), options(copy, 0.6), observer), CheckpointError);
}

TEST_F(FinishedSearch, RefusesATargetThatNothingReachesBeforeAnyTraining) {
  Log log;
  const auto never = folder_->path() / "never";
  try {
    run_search(tiny_recipe(), options(never, 0.01), log);
    FAIL();
  } catch (const RecipeError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--target params=0.01: no combination of candidates is within it"));
  }
  EXPECT_THAT(log.trained, IsEmpty());
  EXPECT_FALSE(fs::exists(never));
}

TEST_F(FinishedSearch, RefusesSharesThatLeaveNoImageBeforeAnyTraining) {
  const auto never = folder_->path() / "no images";
  const auto refusal = [&](const Recipe& recipe) -> std::string {
    Log log;
    try {
      run_search(recipe, options(never, 0.6), log);
    } catch (const RecipeError& error) {
      EXPECT_THAT(log.trained, IsEmpty());
      return error.what();
    }
    return "";
  };
  auto recipe = tiny_recipe();
  recipe.data.limit = 40;
  recipe.search.held_out = 0.01;
  EXPECT_THAT(refusal(recipe), HasSubstr("search.held_out is 0.01: of 40 training images it holds none out"));
  recipe.data.validation = 0.01;
  EXPECT_THAT(refusal(recipe), HasSubstr("search.held_out is 0.01: of 40 training images it holds none out"));
  recipe.data.validation = 0.1;
  recipe.search.share = 0.01;
  EXPECT_THAT(refusal(recipe), HasSubstr("search.share is 0.01: of 36 training images it leaves none"));
  EXPECT_FALSE(fs::exists(never));
}

}  // namespace
}  // namespace mfi
