#include "mfi/pipeline/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/pipeline/run_folder.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/test_data.h"

namespace mfi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The whole pipeline on a few of the sample's images: seconds, not minutes.
Recipe tiny_recipe() {
  Recipe recipe;
  recipe.name = "tiny";
  recipe.data.dataset = "sample";
  recipe.data.limit = 100;
  recipe.network = {.arch = "resnet20", .width = 4};
  recipe.flow.hidden = {4};
  recipe.runtime.precision = "fp32";
  for (auto* step : {&recipe.teacher, &recipe.map, &recipe.meta, &recipe.incubate, &recipe.hybrid}) {
    step->epochs = 1;
    step->batch_size = 50;
  }
  recipe.controls = {
      .teacher_longer = true, .no_mapping = true, .regression = true, .smaller_resnet = true, .distilled_resnet = true};
  return recipe;
}

class Log : public RunObserver {
 public:
  void on_step_done(const StepResult& result, bool was_already_done) override {
    (was_already_done ? skipped : done).push_back(result.step);
  }
  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override {
    expected.clear();
    for (const auto* other : remaining) expected.push_back(other->name);
  }
  void on_message(const std::string& text) override { messages += text + "\n"; }
  std::vector<std::string> done, skipped;
  std::vector<std::string> expected;  // at the start of the last step that ran
  std::string messages;
};

RunOptions options(const std::filesystem::path& out) {
  RunOptions o;
  o.out = out;
  return o;
}

// One finished run for all the tests that only look at it or start from a copy of it.
class FinishedRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TestFolder;
    first_ = new Log;
    results_ = new RunResults(run_pipeline(tiny_recipe(), options(folder_->path() / "run"), *first_));
  }
  static void TearDownTestSuite() {
    delete results_;
    delete first_;
    delete folder_;
  }
  void SetUp() override {
    std::filesystem::remove_all(copy());
    std::filesystem::copy(folder_->path() / "run", copy(), std::filesystem::copy_options::recursive);
  }
  static std::filesystem::path copy() { return folder_->path() / "copy"; }

  static inline TestFolder* folder_ = nullptr;
  static inline Log* first_ = nullptr;
  static inline RunResults* results_ = nullptr;
};

TEST_F(FinishedRun, HasRunEveryStepOnce) {
  EXPECT_THAT(first_->skipped, ElementsAre());
  EXPECT_EQ(first_->done.size(), make_plan(tiny_recipe(), 10).steps.size());
}

TEST_F(FinishedRun, LeavesAModelMetricsAndARecordAndTheLastStateOfEachStep) {
  for (const auto& step : first_->done) {
    for (const auto* name : {"model.safetensors", "metrics.csv", "step.json"})
      EXPECT_TRUE(std::filesystem::exists(copy() / step / name)) << step << "/" << name;
    EXPECT_NE(std::filesystem::exists(copy() / step / "state-a.safetensors"),
              std::filesystem::exists(copy() / step / "state-b.safetensors"))
        << step << ": of its states the last one stays";
  }
}

// Same network, same starting weights, same order of images.
TEST_F(FinishedRun, HasTrainedTheDistilledResNetWithSomethingElseThanTheSmallerOne) {
  const auto *plain = results_->find("smaller-resnet"), *distilled = results_->find("distilled-resnet");
  ASSERT_TRUE(plain && distilled);
  EXPECT_EQ(distilled->parameters, plain->parameters);
  EXPECT_NE(distilled->model_sha256, plain->model_sha256);
}

TEST_F(FinishedRun, IsNotRunAgain) {
  Log log;
  const auto again = run_pipeline(tiny_recipe(), options(copy()), log);
  EXPECT_THAT(log.done, ElementsAre());
  ASSERT_EQ(again.steps.size(), results_->steps.size());
  for (size_t i = 0; i < again.steps.size(); ++i)
    EXPECT_EQ(again.steps[i].test_top1_percent, results_->steps[i].test_top1_percent);
}

TEST_F(FinishedRun, RunsOnlyWhatAChangedSettingReaches) {
  auto recipe = tiny_recipe();
  recipe.hybrid.learning_rate = 5e-4;
  recipe.controls = {};
  Log log;
  run_pipeline(recipe, options(copy()), log);
  EXPECT_THAT(log.done, ElementsAre("hybrid"));
  EXPECT_THAT(log.messages, HasSubstr("hybrid: settings or inputs have changed"));
}

// The same seed gives the same bytes, so what builds on the forced step stays done.
TEST_F(FinishedRun, RunsAForcedStepAndGetsTheSameModel) {
  auto o = options(copy());
  o.force = {"map"};
  Log log;
  const auto again = run_pipeline(tiny_recipe(), o, log);
  EXPECT_THAT(log.done, ElementsAre("map"));
  EXPECT_EQ(again.steps[1].model_sha256, results_->steps[1].model_sha256);
}

TEST_F(FinishedRun, BuildsOnNoOtherModelThanTheStepsOwn) {
  std::filesystem::remove(copy() / "hybrid/step.json");
  std::filesystem::remove(copy() / "hybrid/state-a.safetensors");
  std::filesystem::remove(copy() / "hybrid/state-b.safetensors");
  std::filesystem::copy_file(copy() / "map/model.safetensors", copy() / "meta/model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  Log log;
  try {
    run_pipeline(tiny_recipe(), options(copy()), log);
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("meta/model.safetensors: is another model than the step meta has made"));
  }
}

// What was trained is not lost where what it is to be replaced by cannot be.
TEST_F(FinishedRun, LeavesAStepAsItIsUntilNothingSpeaksAgainstItsSuccessor) {
  const auto model = copy() / "meta/model.safetensors", aside = copy() / "aside";
  std::filesystem::copy_file(model, aside);
  std::filesystem::copy_file(copy() / "map/model.safetensors", model,
                             std::filesystem::copy_options::overwrite_existing);
  auto recipe = tiny_recipe();
  recipe.hybrid.learning_rate = 5e-4;
  recipe.controls = {};
  Log refused, back;
  EXPECT_THROW(run_pipeline(recipe, options(copy()), refused), CheckpointError);
  std::filesystem::rename(aside, model);
  run_pipeline(tiny_recipe(), options(copy()), back);
  EXPECT_THAT(back.done, ElementsAre());
}

// As one of two processes that were asked for the same step, which has waited for the other one.
TEST_F(FinishedRun, DoesNotDoAStepThatAnotherHasJustDone) {
  const auto record = copy() / "hybrid/step.json", aside = copy() / "aside";
  std::filesystem::rename(record, aside);
  class Finishing : public Log {
   public:
    Finishing(std::filesystem::path from, std::filesystem::path to) : from_(std::move(from)), to_(std::move(to)) {}
    void on_step_start(const PlannedStep&, const std::vector<const PlannedStep*>&) override {
      std::filesystem::rename(from_, to_);
    }
    void on_phase(const std::string& step, const std::string& phase) override { phases.push_back(phase); }
    std::vector<std::string> phases;

   private:
    std::filesystem::path from_, to_;
  };
  Finishing log(aside, record);
  auto o = options(copy());
  o.only = "hybrid";
  const auto results = run_pipeline(tiny_recipe(), o, log);
  EXPECT_THAT(log.done, ElementsAre("hybrid"));
  EXPECT_THAT(log.phases, ElementsAre());
  ASSERT_TRUE(results.find("hybrid"));
  EXPECT_EQ(results.find("hybrid")->model_sha256, results_->find("hybrid")->model_sha256);
}

// For the time left: the incubations and the controls beside the hybrid's are done.
TEST_F(FinishedRun, ExpectsToRunOnlyWhatIsNotDone) {
  auto recipe = tiny_recipe();
  recipe.hybrid.learning_rate = 5e-4;
  recipe.controls = {.smaller_resnet = true};
  Log log;
  run_pipeline(recipe, options(copy()), log);
  EXPECT_THAT(log.expected, ElementsAre("hybrid"));
}

TEST_F(FinishedRun, ExpectsToRunWhatBuildsOnAForcedStep) {
  auto recipe = tiny_recipe();
  recipe.controls = {.teacher_longer = true};
  auto o = options(copy());
  o.force = {"meta"};
  Log log;
  run_pipeline(recipe, o, log);
  EXPECT_THAT(log.expected, ElementsAre("meta", "incubate-1", "incubate-2", "hybrid"));
}

TEST_F(FinishedRun, RefusesToForceAStepThatIsNotThere) {
  auto o = options(copy());
  o.force = {"mapp"};
  Log log;
  EXPECT_THROW(run_pipeline(tiny_recipe(), o, log), UsageError);
}

TEST_F(FinishedRun, IsRefusedWhileAnotherHoldsIt) {
  const RunLock lock(copy());
  Log log;
  EXPECT_THROW(run_pipeline(tiny_recipe(), options(copy()), log), BusyError);
}

TEST_F(FinishedRun, RefusesAModelOfAnotherArch) {
  std::filesystem::copy_file(copy() / "smaller-resnet/model.safetensors", copy() / "meta/model.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  auto o = options(copy());
  o.force = {"hybrid"};
  Log log;
  EXPECT_THROW(run_pipeline(tiny_recipe(), o, log), CheckpointError);
}

TEST_F(FinishedRun, KeepsThePartsThatAStepDoesNotTrain) {
  const auto meta = load_model(copy() / "meta/model.safetensors"),
             incubated = load_model(copy() / "incubate-1/model.safetensors");
  for (const size_t part : {0, 2, 3, 4}) {
    const auto a = named_tensors(*meta.network->part(part)), b = named_tensors(*incubated.network->part(part));
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i].second, b[i].second)) << part << a[i].first;
  }
}

TEST_F(FinishedRun, WritesWhatItReturns) {
  const auto read = collect_results(copy());
  ASSERT_EQ(read.steps.size(), results_->steps.size());
  EXPECT_EQ(read.run, "tiny");
  EXPECT_EQ(read.training_images, 100);
  for (size_t i = 0; i < read.steps.size(); ++i) {
    EXPECT_EQ(read.steps[i].step, results_->steps[i].step);
    EXPECT_EQ(read.steps[i].details, results_->steps[i].details);
  }
}

TEST_F(FinishedRun, LogsEveryStageOfTheMapping) {
  const auto& map = results_->steps[1];
  ASSERT_EQ(map.step, "map");
  std::vector<std::string> names;
  for (const auto& [name, value] : map.details) names.push_back(name);
  for (const auto* name :
       {"stage1_error_1step", "stage1_error_2steps", "stage1_error_4steps", "stage1_swap_in_percent",
        "stage1_swap_in_2steps_percent", "stage3_error_2steps", "stage3_swap_in_percent", "teacher_percent"})
    EXPECT_THAT(names, testing::Contains(name));
}

// The teacher of an interrupted run is not trained twice, and the end is the same.
TEST(InterruptedRun, EndsWithTheSameModels) {
  class Kill : public Log {
   public:
    void on_epoch(const std::string& step, const Metrics& row) override {
      if (step == "meta" && row[0].second == 1) throw std::runtime_error("killed");
    }
  };
  const TestFolder folder;
  auto recipe = tiny_recipe();
  recipe.controls = {};
  recipe.meta.epochs = 2;
  Log log, resumed;
  Kill kill;
  const auto whole = run_pipeline(recipe, options(folder.path() / "whole"), log);
  EXPECT_THROW(run_pipeline(recipe, options(folder.path() / "cut"), kill), std::runtime_error);
  const auto cut = run_pipeline(recipe, options(folder.path() / "cut"), resumed);
  EXPECT_THAT(resumed.skipped, ElementsAre("teacher", "map"));
  EXPECT_THAT(resumed.messages, HasSubstr("meta: going on after epoch 1 of 2"));
  for (size_t i = 0; i < whole.steps.size(); ++i)
    EXPECT_EQ(whole.steps[i].model_sha256, cut.steps[i].model_sha256) << whole.steps[i].step;
}

TEST(Run, LeavesNoFolderBehindWhenItFindsNoData) {
  const TestFolder folder;
  auto recipe = tiny_recipe();
  recipe.data.dataset = "cifar-10";
  auto o = options(folder.path() / "run");
  o.data = folder.path() / "nothing";
  Log log;
  EXPECT_THROW(run_pipeline(recipe, o, log), NotFoundError);
  EXPECT_FALSE(std::filesystem::exists(o.out));
}

TEST(Run, RefusesAFolderThatCannotBeMade) {
  const TestFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  Log log;
  EXPECT_THROW(run_pipeline(tiny_recipe(), options(folder.path() / "file" / "run"), log), CannotWriteError);
  std::filesystem::create_symlink("loop", folder.path() / "loop");
  EXPECT_THROW(run_pipeline(tiny_recipe(), options(folder.path() / "loop"), log), CannotWriteError);
}

TEST_F(FinishedRun, TakesAModelFileAsTheTeacherAsItIs) {
  // Normalised in another way than the data would have it, as an imported network may be.
  auto model = load_model(folder_->path() / "run/teacher/model.safetensors");
  model.info.normalisation = {{0.1f, 0.2f, 0.3f}, {0.5f, 0.6f, 0.7f}};
  const auto file = folder_->path() / "given.safetensors";
  save_model(file, *model.network, model.info);

  auto recipe = tiny_recipe();
  recipe.network.model = file.string();  // it decides, not network.arch
  recipe.controls = {};
  Log log;
  const auto out = folder_->path() / "with-given";
  const auto results = run_pipeline(recipe, options(out), log);
  ASSERT_EQ(results.steps.front().step, "teacher");
  EXPECT_EQ(results.steps.front().epochs, 0);
  EXPECT_EQ(results.steps.front().network, "resnet20-w4");
  const auto teacher = load_model(out / "teacher/model.safetensors"),
             hybrid = load_model(out / "hybrid/model.safetensors");
  for (size_t i = 0; i < named_tensors(*model.network).size(); ++i)
    EXPECT_TRUE(torch::equal(named_tensors(*model.network)[i].second, named_tensors(*teacher.network)[i].second));
  EXPECT_EQ(hybrid.info.normalisation.mean, model.info.normalisation.mean);

  Log again;
  run_pipeline(recipe, options(out), again);
  EXPECT_THAT(again.done, testing::IsEmpty());
  // Another file in its place is another teacher, and everything after it is made anew.
  initialise(*model.network, 99);
  save_model(file, *model.network, model.info);
  Log changed;
  run_pipeline(recipe, options(out), changed);
  EXPECT_THAT(changed.skipped, testing::IsEmpty());
}

TEST_F(FinishedRun, TrainsAModelFileOfOtherClassesFirst) {
  const auto file = folder_->path() / "seven.safetensors";
  Network seven(resnet_arch("resnet20", 4, 7));
  initialise(seven, 5);
  save_model(file, seven, {});
  auto recipe = tiny_recipe();
  recipe.network.model = file.string();
  recipe.network.fine_tune = true;
  recipe.teacher.learning_rate = 1e-9;  // so that what it began with can be seen
  recipe.teacher.weight_decay = 0;
  recipe.controls = {};
  Log log;
  const auto out = folder_->path() / "fine-tuned";
  const auto results = run_pipeline(recipe, options(out), log);
  EXPECT_EQ(results.steps.front().epochs, recipe.teacher.epochs);
  const auto teacher = load_model(out / "teacher/model.safetensors");
  EXPECT_EQ(teacher.network->arch().classes, 10);
  const auto weight = [](const Network& network) { return network.part(1)->parameters()[0]; };
  EXPECT_TRUE(torch::allclose(weight(*teacher.network), weight(seven), 1e-5, 1e-5));
}

// The last stage a flow stage, the others the teacher's, on the short way.
Recipe short_recipe() {
  auto recipe = tiny_recipe();
  recipe.pipeline.blocks = {3, 3, 0};
  recipe.pipeline.incubate_default = true;
  recipe.controls = {};
  return recipe;
}

TEST(Runner, EndsWithTheMappingWhereTheHybridHasNoEpochs) {
  const TestFolder folder;
  auto recipe = short_recipe();
  recipe.hybrid.epochs = 0;
  Log log;
  const auto results = run_pipeline(recipe, options(folder / "run"), log);
  ASSERT_TRUE(results.find("hybrid"));
  EXPECT_EQ(results.find("hybrid")->epochs, 0);
  EXPECT_EQ(results.find("hybrid")->test_top1_percent, results.find("map")->test_top1_percent);
  const auto map = load_model(folder / "run/map/model.safetensors").network,
             hybrid = load_model(folder / "run/hybrid/model.safetensors").network;
  const auto a = named_tensors(*map), b = named_tensors(*hybrid);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i].second, b[i].second)) << a[i].first;
}

// Mapping has no use for labels, and the teacher had them all.
TEST(Runner, MakesAnewOnlyWhatLabelsMatterTo) {
  const TestFolder folder;
  auto recipe = short_recipe();
  Log first;
  run_pipeline(recipe, options(folder / "run"), first);
  EXPECT_THAT(first.done, ElementsAre("teacher", "map", "hybrid"));
  recipe.data.labelled = 0.5;
  Log again;
  const auto results = run_pipeline(recipe, options(folder / "run"), again);
  EXPECT_THAT(again.skipped, ElementsAre("teacher", "map"));
  EXPECT_THAT(again.done, ElementsAre("hybrid"));
  EXPECT_EQ(results.training_images, 100);
}

// How many batches a step has says which images it saw.
class Batches : public Log {
 public:
  void on_progress(const Progress& progress) override { of[progress.step] = progress.batches; }
  std::map<std::string, int64_t> of;
};

TEST(Runner, ShowsEachStepTheImagesThatItMayLearnFrom) {
  const TestFolder folder;
  auto recipe = short_recipe();
  recipe.data.labelled = 0.5;
  recipe.controls.distilled_resnet = true;
  Batches batches;
  run_pipeline(recipe, options(folder / "run"), batches);
  EXPECT_EQ(batches.of.at("teacher"), 2);
  EXPECT_EQ(batches.of.at("map"), 2);
  EXPECT_EQ(batches.of.at("hybrid"), 1) << "50 of 100 images";
  EXPECT_EQ(batches.of.at("distilled-resnet"), 2);
}

// Each new setting makes a step anew; left at its default it changes no fingerprint from before there was one.
TEST(Fingerprints, TellEachSettingApart) {
  auto recipe = short_recipe();
  recipe.hybrid.distillation = 0.5;
  DataSplits data;
  data.name = "sample";
  data.fingerprint = "data";
  const DataShape shape{.classes = 10, .image_size = 32, .training_images = 100, .unlabelled_pictures = 0};
  const auto fingerprint = [&](const Recipe& r) {
    const auto plan = make_plan(r, shape);
    auto step = plan.step("teacher");
    return RunFolder(r, plan, data, "nowhere").fingerprint(step);
  };
  std::set<std::string> all{fingerprint(recipe)};
  const auto expect_another = [&](const char* what, const std::function<void(Recipe&)>& change) {
    auto changed = recipe;
    change(changed);
    EXPECT_TRUE(all.insert(fingerprint(changed)).second) << what;
  };
  expect_another("flip", [](Recipe& r) { r.teacher.flip = "alternating"; });
  expect_another("lookahead", [](Recipe& r) { r.teacher.lookahead = 6; });
  expect_another("whitening", [](Recipe& r) { r.teacher.whitening = true; });
  expect_another("small_until", [](Recipe& r) { r.teacher.small_until = 0.5; });
  expect_another("small_side", [](Recipe& r) {
    r.teacher.small_until = 0.5;
    r.teacher.small_side = 0.5;
  });
  // Those of the mapping.
  all.clear();
  const auto of_map = [&](const Recipe& r, const std::string& unlabelled) {
    auto some = data;
    some.unlabelled_fingerprint = unlabelled;
    const auto plan = make_plan(r, shape);
    RunFolder folder(r, plan, some, "nowhere");
    StepResult teacher;
    teacher.step = "teacher";
    folder.add(teacher);
    return folder.fingerprint(plan.step("map"));
  };
  EXPECT_TRUE(all.insert(of_map(recipe, "")).second);
  EXPECT_TRUE(all.insert(of_map(recipe, "other")).second) << "unlabelled";
  const std::vector<std::function<void(Recipe&)>> changes{[](Recipe& r) { r.map.own_input = 1; },
                                                          [](Recipe& r) { r.objective.logits = 1; },
                                                          [](Recipe& r) {
                                                            r.objective.endpoint_steps = {2, 4};
                                                          }};
  for (const auto& change : changes) {
    auto changed = recipe;
    change(changed);
    EXPECT_TRUE(all.insert(of_map(changed, "")).second) << all.size();
  }
  auto later = recipe;
  later.map.own_input = 1;
  later.data.labelled = 0.5;
  EXPECT_EQ(fingerprint(later), fingerprint(recipe)) << "of no concern to the teacher";
}

TEST(Whitening, IsWhatATeacherBeginsWith) {
  const TestFolder folder;
  auto recipe = short_recipe();
  recipe.teacher.learning_rate = 1e-12;  // so that its start can be seen
  const auto stem = [&](bool whitening, const char* name) {
    recipe.teacher.whitening = whitening;
    auto o = options(folder / name);
    o.only = "teacher";
    Log log;
    run_pipeline(recipe, o, log);
    const auto network = load_model(folder / name / "teacher/model.safetensors").network;
    return network->part(0)->parameters()[0].detach().clone();
  };
  const auto plain = stem(false, "plain"), whitened = stem(true, "whitened");
  EXPECT_FALSE(torch::allclose(plain[0], -plain[1], 1e-3, 1e-3));
  EXPECT_TRUE(torch::allclose(whitened[0], -whitened[1], 1e-3, 1e-3));
}

}  // namespace
}  // namespace mfi
