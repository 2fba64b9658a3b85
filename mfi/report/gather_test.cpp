#include "mfi/report/gather.h"

#include <gmock/gmock.h>

#include <fstream>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/pipeline/predictions.h"
#include "mfi/report/made_up_run.h"
#include "mfi/report/network_table.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/metrics_file.h"
#include "mfi/train/test_data.h"

namespace mfi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Arch small_arch() {
  auto arch = resnet_arch("resnet20", 4, 3);
  arch.image_size = 8;
  return arch;
}

// A run's folder as `mfi run` leaves it, of networks that were never trained.
class GatheredRun : public testing::Test {
 protected:
  GatheredRun() {
    write_results(folder_ / "results.json", made_up_run());
    replace_file(folder_ / "recipe.toml", std::string("name = \"made-up\"\n[data]\ndataset = \"sample\"\n"));
    Network teacher(small_arch()), hybrid(with_flow_stage(small_arch(), 2, {.hidden = 4}));
    ModelInfo info;
    info.class_names = data_.class_names;
    for (const auto& [step, network] : {std::pair("teacher", &teacher), std::pair("hybrid", &hybrid)}) {
      make_folder(folder_ / step);
      initialise(*network, 1);
      save_model(folder_ / step / "model.safetensors", *network, info);
      write_metrics_csv(folder_ / step / "metrics.csv", {{{"epoch", 1}, {"loss", 2}}});
    }
    Answers answers{{0, 1, 2, 0, 1, 2}, std::vector<float>(6, 0.5F), {0, 1, 2, 0, 1, 2}};
    write_predictions(folder_ / "teacher" / kPredictionsFile, answers);
    answers.classes[3] = 2;
    write_predictions(folder_ / "hybrid" / kPredictionsFile, answers);
    options_.test = &data_;
    options_.no_latency = "not wanted";
  }

  RunReport gather() const { return gather_report(folder_.path(), options_); }

  TestFolder folder_;
  Dataset data_ = made_up_dataset(6, 3);
  GatherOptions options_;
};

TEST_F(GatheredRun, IsWhole) {
  const auto report = gather();
  EXPECT_EQ(report.parts_missing + report.answers_missing + report.pictures_missing + report.recipe_missing, "");
  ASSERT_EQ(report.parts.size(), 5);
  EXPECT_EQ(report.parts[3].hybrid_is, "flow: 1 module, hidden 4");
  EXPECT_LT(report.parts[3].hybrid.parameters, report.parts[3].teacher.parameters);
  EXPECT_THAT(report.class_names, ElementsAre("class0", "class1", "class2"));
  ASSERT_EQ(report.pictures.size(), 1);  // the one image on which they differ
  EXPECT_EQ(report.pictures[0].index, 3);
  EXPECT_THAT(report.pictures[0].png, HasSubstr("PNG"));
  EXPECT_EQ(report.latency_missing, "not wanted");
}

TEST_F(GatheredRun, SaysWhichKeysDifferFromTheDefault) {
  std::vector<std::string> differing;
  for (const auto& line : gather().recipe)
    if (line.differs) differing.push_back(line.key + " = " + line.value);
  EXPECT_THAT(differing, ElementsAre("name = \"made-up\"", "data.dataset = \"sample\""));
}

TEST_F(GatheredRun, SaysWhichStepsAreStillToBeRun) {
  EXPECT_THAT(gather().steps_to_do, ElementsAre("meta", "incubate-2", "incubate-3"));
}

TEST_F(GatheredRun, OfAnOlderProgramHasNoAnswers) {
  std::filesystem::remove(folder_.path() / "hybrid" / kPredictionsFile);
  const auto report = gather();
  EXPECT_THAT(report.answers_missing, HasSubstr("older mfi"));
  EXPECT_THAT(report.pictures_missing, HasSubstr("older mfi"));
  EXPECT_EQ(report.parts_missing, "");
}

TEST_F(GatheredRun, SaysWhyThereAreNoPictures) {
  options_.test = nullptr;
  options_.no_test = "no data folder";
  EXPECT_EQ(gather().pictures_missing, "no data folder");
}

TEST_F(GatheredRun, DoesNotShowThePicturesOfAnotherDataset) {
  data_ = made_up_dataset(9, 3);
  EXPECT_THAT(gather().pictures_missing, HasSubstr("another"));
}

TEST_F(GatheredRun, LivesWithDamagedFiles) {
  for (const char* file :
       {"hybrid/model.safetensors", "hybrid/predictions.safetensors", "hybrid/metrics.csv", "recipe.toml"})
    replace_file(folder_ / file, std::string("epoch\nthree\n"));
  const auto report = gather();
  EXPECT_THAT(report.parts_missing, HasSubstr("model.safetensors"));
  EXPECT_THAT(report.answers_missing, HasSubstr("predictions.safetensors"));
  EXPECT_THAT(report.curves.back().missing, HasSubstr("metrics.csv:2"));
  EXPECT_THAT(report.recipe_missing, HasSubstr("recipe.toml"));
}

TEST_F(GatheredRun, NeedsItsResults) {
  std::filesystem::remove(folder_.path() / "results.json");
  EXPECT_THROW(gather(), NotFoundError);
}

TEST_F(GatheredRun, IsWithoutComparisonUntilTheHybridIsDone) {
  auto results = made_up_run();
  results.steps.pop_back();
  write_results(folder_ / "results.json", results);
  EXPECT_EQ(gather().parts_missing, "teacher and hybrid are not both done yet");
}

TEST(StageText, SaysWhatAVelocityNetworkHasBeyondTheUsual) {
  const auto text = [](const FlowArch& flow, int64_t stride = 2) {
    return stage_text({.in_channels = 8, .out_channels = 16, .stride = stride, .body = flow});
  };
  EXPECT_EQ(text({.hidden = 4, .kernel = 5, .dilation = 2}), "flow: 1 module, hidden 4, kernel 5x5, dilation 2");
  EXPECT_EQ(text({.kind = VelocityKind::depthwise, .hidden = 4, .downsampling = Downsampling::average}),
            "flow: 1 module, hidden 4, depthwise 3x3, averaged pixels");
  EXPECT_EQ(text({.kind = VelocityKind::pointwise, .hidden = 4, .kernel = 5, .dilation = 2}),
            "flow: 1 module, hidden 4, pointwise");
  EXPECT_EQ(text({.hidden = 4, .steps = 2, .step_lengths = StepLengths::learned}),
            "flow: 1 module, hidden 4, 2 steps, learned lengths");
  EXPECT_EQ(text({.hidden = 4, .downsampling = Downsampling::average}, 1), "flow: 1 module, hidden 4");
}

}  // namespace
}  // namespace mfi
