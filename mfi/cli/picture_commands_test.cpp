// Pictures on the command line: inspect, predict, eval and run on folders of them.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "mfi/cli/program.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/data/dataset.h"
#include "mfi/formats/picture.h"
#include "mfi/nn/network.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

class PictureFolder : public testing::Test {
 protected:
  // The sample's first images of each class as PNG files, in train and test.
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    DataSettings settings;
    settings.dataset = "sample";
    settings.limit = 60;
    const auto data = open_data(settings, {});
    write(data.train, "train");
    write(data.test, "test");
    auto arch = resnet_arch("resnet20", 4, 10);
    auto network = std::make_shared<Network>(arch);
    initialise(*network, 1);
    network->eval();
    ModelInfo info{data.train.class_names, data.normalisation, "sample", "teacher"};
    save_model(model(), *network, info);
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string model() { return (folder_->path() / "model.safetensors").string(); }
  static fs::path pictures() { return folder_->path() / "pictures"; }

  static void write(const Dataset& data, const std::string& part) {
    for (int64_t i = 0; i < data.size(); ++i) {
      const auto& name = data.class_names[static_cast<size_t>(data.labels[i].item<int64_t>())];
      const auto file = pictures() / part / name / (std::to_string(1000 + i) + ".png");
      fs::create_directories(file.parent_path());
      RgbImage image{32, 32, std::vector<uint8_t>(32 * 32 * 3)};
      const auto pixels = data.images[i].permute({1, 2, 0}).contiguous();
      std::copy_n(pixels.const_data_ptr<uint8_t>(), image.pixels.size(), image.pixels.begin());
      std::ofstream(file, std::ios::binary) << encode_png(image);
    }
  }

  // One epoch of a small teacher on a folder of pictures, with these settings beside.
  static Ended train(const fs::path& data, const fs::path& out, const std::vector<std::string>& settings,
                     const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    std::vector<std::string> words{"run",        (fs::path(MFI_SOURCE_DIR) / "recipes/sample.toml").string(),
                                   "--data",     data,
                                   "--out",      out,
                                   "--only",     "teacher",
                                   "--progress", "none"};
    for (const char* setting : {"data.dataset=pictures", "network.arch=resnet20", "network.width=4", "flow.hidden=[4]",
                                "teacher.epochs=1", "teacher.batch_size=20", "teacher.warmup_epochs=0"})
      words.insert(words.end(), {"--set", setting});
    for (const auto& setting : settings) words.insert(words.end(), {"--set", setting});
    return run_program(words, environment);
  }

  static inline TemporaryFolder* folder_ = nullptr;
};

TEST_F(PictureFolder, GivesTheAccuracyOfTheSameImagesInTheirOwnFormat) {
  const auto as_pictures = run_program({"eval", model(), "--dataset", "pictures", "--data", pictures()});
  ASSERT_EQ(as_pictures.exit_code, 0) << as_pictures.error;
  // The sample's test images with the same limit, by its own path.
  DataSettings settings;
  settings.dataset = "sample";
  settings.limit = 60;
  DataSettings from_files = settings;
  from_files.dataset = "pictures";
  from_files.limit = 0;
  const auto own = open_data(settings, {}), files = open_data(from_files, pictures());
  EXPECT_TRUE(torch::equal(own.test.images, files.test.images));
  EXPECT_TRUE(torch::equal(own.train.labels, files.train.labels));
  const auto network = load_model(model()).network;
  const auto expected =
      evaluate_classifier(*network, own.test, load_model(model()).info.normalisation, torch::kFloat32);
  EXPECT_THAT(as_pictures.out, HasSubstr(format("top-1 %.2f %%, loss %.4f", expected.top1_percent, expected.loss)));
}

TEST_F(PictureFolder, IsInspected) {
  const auto sheet = (folder_->path() / "sheet.png").string();
  const auto ended = run_program({"inspect", pictures(), "--sheet", sheet});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  for (const char* part :
       {"training:       60", "test:           60", "classes:        10", "120 PNG", "every picture was read"})
    EXPECT_THAT(ended.out, HasSubstr(part));
  EXPECT_EQ(picture_info(file_text(sheet), sheet).format, "PNG");
}

TEST_F(PictureFolder, HasItsFaultsNamed) {
  const auto copy = folder_->path() / "faulty";
  fs::copy(pictures(), copy, fs::copy_options::recursive);
  std::vector<fs::path> classes;
  for (const auto& entry : fs::directory_iterator(copy / "train")) classes.push_back(entry.path().filename());
  std::sort(classes.begin(), classes.end());
  const auto first = fs::directory_iterator(copy / "train" / classes[0])->path();
  fs::copy(first, copy / "train" / classes[1] / "mislabelled.png");
  fs::copy(first, copy / "test" / classes[0] / "leaked.png");
  std::ofstream(copy / "train" / classes[2] / "broken.png") << "no picture";
  std::ofstream(copy / "notes.txt") << "notes";
  const auto ended = run_program({"inspect", copy});
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::bad_data));
  for (const char* part : {"in two classes", "mislabelled.png", "in training and test", "leaked.png", "passed over",
                           "notes.txt", "broken (1)", "broken.png"})
    EXPECT_THAT(ended.out, HasSubstr(part));
  EXPECT_THAT(ended.error, HasSubstr("1 of 123 pictures are broken"));
  // A run needs all of them, an evaluation those of the test.
  const auto not_run = run_program({"run", (fs::path(MFI_SOURCE_DIR) / "recipes/sample.toml").string(), "--data", copy,
                                    "--set", "data.dataset=pictures", "--out", folder_->path() / "not-run"});
  EXPECT_EQ(not_run.exit_code, static_cast<int>(ExitCode::bad_data));
  EXPECT_THAT(not_run.error, HasSubstr("broken.png"));
  EXPECT_FALSE(fs::exists(folder_->path() / "not-run"));
  std::ofstream(copy / "test" / classes[2] / "empty.png").close();
  const auto refused = run_program({"eval", model(), "--dataset", "pictures", "--data", copy});
  EXPECT_EQ(refused.exit_code, static_cast<int>(ExitCode::bad_data));
  EXPECT_THAT(refused.error, HasSubstr("empty.png"));
}

TEST_F(PictureFolder, IsTrainedOn) {
  const auto out = folder_->path() / "run";
  const auto ended = train(pictures(), out, {});
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  const auto description = describe_model(out / "teacher/model.safetensors");
  EXPECT_EQ(description.info.dataset, "pictures");
  EXPECT_EQ(description.arch.image_size, 32);
  EXPECT_EQ(description.arch.classes, 10);
}

// The teacher is given, and what learns from it sees the pictures too. Without them the run would be another one.
TEST_F(PictureFolder, ServesWithoutItsLabels) {
  const auto out = folder_->path() / "unlabelled-run";
  std::vector<std::string> words{
      "run",        (fs::path(MFI_SOURCE_DIR) / "recipes/sample.toml").string(), "--out", out, "--progress", "plain",
      "--no-report"};
  for (const char* setting : {"data.limit=60", "flow.hidden=[4]", "pipeline.blocks=[3, 3, 0]", "map.epochs=1",
                              "map.batch_size=20", "hybrid.epochs=1", "hybrid.batch_size=20", "hybrid.warmup_epochs=0",
                              "hybrid.distillation=1", "map.warmup_epochs=0"})
    words.insert(words.end(), {"--set", setting});
  words.insert(words.end(), {"--set", "network.model=" + model()});
  auto with = words;
  with.insert(with.end(), {"--unlabelled", (pictures() / "train").string()});
  const auto ended = run_program(with);
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.error, HasSubstr("60 pictures without labels in"));
  const auto again = run_program(with);
  EXPECT_EQ(again.exit_code, 0) << again.error;
  EXPECT_THAT(again.error, HasSubstr("hybrid: already done"));
  const auto without = run_program(words);
  EXPECT_EQ(without.exit_code, static_cast<int>(ExitCode::usage)) << without.error;
  EXPECT_THAT(without.error, HasSubstr("data or inputs have changed"));
  // A step that does not learn from them needs not be told: what they have made stays in the results.
  auto only = words;
  only.insert(only.end(), {"--only", "teacher"});
  EXPECT_EQ(run_program(only).exit_code, 0);
  const auto results = file_text(out / "results.json");
  EXPECT_THAT(results, HasSubstr("\"unlabelled_pictures\": 60"));
  EXPECT_THAT(results, HasSubstr("\"step\": \"hybrid\""));
  const auto nowhere = run_program(
      {"run", (fs::path(MFI_SOURCE_DIR) / "recipes/sample.toml").string(), "--out", out, "--unlabelled", "/nowhere"});
  EXPECT_EQ(nowhere.exit_code, static_cast<int>(ExitCode::not_found)) << nowhere.error;
}

// Without folders for parts the run draws what it is judged on; a later evaluation must draw the same.
TEST_F(PictureFolder, IsJudgedLaterOnWhatTheRunHeldOut) {
  const auto flat = folder_->path() / "flat", out = folder_->path() / "flat-run";
  fs::copy(pictures() / "train", flat, fs::copy_options::recursive);
  const auto ended = train(flat, out, {"data.test=0.5", "seed=7"});
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  const auto teacher = (out / "teacher/model.safetensors").string();
  const auto info = describe_model(teacher).info;
  EXPECT_EQ(info.seed, 7u);
  EXPECT_EQ(info.test, 0.5);
  const auto judged = run_program({"eval", teacher, "--data", flat});
  ASSERT_EQ(judged.exit_code, 0) << judged.error;
  const auto result = nlohmann::json::parse(file_text(out / "teacher/step.json"));
  EXPECT_THAT(judged.out, HasSubstr(format("top-1 %.2f %%, loss %.4f", result["test_top1_percent"].get<double>(),
                                           result["test_loss"].get<double>())));
  // A model of other classes is not judged on them.
  fs::rename(flat / info.class_names[0], flat / "another");
  const auto other = run_program({"eval", teacher, "--data", flat});
  EXPECT_EQ(other.exit_code, static_cast<int>(ExitCode::bad_data));
  EXPECT_THAT(other.error, HasSubstr("the model's classes are"));
}

// Random parts, the stem of ImageNet's networks; and what is learnt is the same wherever the pictures are kept.
TEST_F(PictureFolder, IsTrainedOnAsImageNetIs) {
  std::string first;
  for (const std::string cache : {"memory", "disk", "none"}) {
    const auto out = folder_->path() / ("large-" + cache);
    const auto ended = train(pictures(), out, {"data.image_size=72", "data.cache=" + cache},
                             {{"XDG_CACHE_HOME", (folder_->path() / "cache").string()}});
    ASSERT_EQ(ended.exit_code, 0) << ended.error;
    const auto description = describe_model(out / "teacher/model.safetensors");
    EXPECT_EQ(description.arch.image_size, 72);
    EXPECT_EQ(description.arch.stem, StemKind::imagenet);
    const auto bytes = file_text(out / "teacher/model.safetensors");
    if (first.empty()) first = bytes;
    EXPECT_TRUE(bytes == first) << cache;
  }
  EXPECT_TRUE(fs::exists(folder_->path() / "cache/mfi/pictures"));
}

TEST_F(PictureFolder, IsPredicted) {
  const auto csv = run_program({"predict", model(), pictures() / "test", "--top", "2"});
  EXPECT_EQ(csv.exit_code, 0) << csv.error;
  EXPECT_THAT(csv.out, testing::StartsWith("path,class,probability,class2,probability2,problem\n"));
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 61);
  EXPECT_THAT(csv.error, HasSubstr("60 pictures, 0 of them broken"));
  // A pattern that the shell has not replaced.
  const auto pattern = run_program({"predict", model(), (pictures() / "test/*/*.png").string()});
  EXPECT_EQ(std::count(pattern.out.begin(), pattern.out.end(), '\n'), 61);
  const auto none = run_program({"predict", model(), (pictures() / "*.gif").string()});
  EXPECT_EQ(none.exit_code, static_cast<int>(ExitCode::not_found));
}

TEST_F(PictureFolder, HasARowForAPictureThatIsBroken) {
  const auto broken = folder_->path() / "bad, \"very\".jpg";
  std::ofstream(broken) << "no picture";
  const auto good = fs::directory_iterator(fs::directory_iterator(pictures() / "test")->path())->path();
  const auto csv = run_program({"predict", model(), broken, good, folder_->path() / "none.png"});
  EXPECT_EQ(csv.exit_code, 0);
  EXPECT_THAT(csv.out, HasSubstr("bad, \"\"very\"\".jpg\",,,"));
  EXPECT_THAT(csv.out, HasSubstr("none.png,,,"));
  EXPECT_THAT(csv.error, HasSubstr("3 pictures, 2 of them broken"));
  const auto json = run_program({"predict", model(), broken, good, "--format", "json"});
  EXPECT_THAT(json.out, HasSubstr("\"problem\":"));
  EXPECT_THAT(json.out, HasSubstr("\"predictions\":[{\"class\":"));
  const auto table = run_program({"predict", model(), good, "--format", "table"});
  EXPECT_THAT(table.out, HasSubstr(" %"));
  const auto all = run_program({"predict", model(), broken});
  EXPECT_EQ(all.exit_code, static_cast<int>(ExitCode::bad_data));
}

TEST_F(PictureFolder, IsEvaluatedInDetailAndAgainstAnotherModel) {
  const auto matrix = folder_->path() / "matrix.csv", differences = folder_->path() / "differences.csv";
  auto other = load_model(model());
  initialise(*other.network, 7);
  const auto other_file = folder_->path() / "other.safetensors";
  save_model(other_file, *other.network, other.info);
  const auto ended = run_program({"eval", model(), "--dataset", "pictures", "--data", pictures(), "--classes",
                                  "--confusion", matrix, "--against", other_file, "--differences", differences});
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  for (const char* part :
       {"top-1 ", "top-5 ", "calibration error ", "most often taken for", "same class:", "right, only other:"})
    EXPECT_THAT(ended.out, HasSubstr(part));
  const auto csv = file_text(matrix);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 11);
  EXPECT_THAT(file_text(differences), testing::StartsWith("image,class,this,other\n"));
  const auto same = run_program({"eval", model(), "--dataset", "pictures", "--data", pictures(), "--against", model()});
  EXPECT_THAT(same.out, HasSubstr("same class:          100.00 %"));
}

TEST_F(PictureFolder, IsNoNeedForAComparisonOfTwoModels) {
  const auto ended = run_program({"inspect", model(), "--against", model()});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("activations"));
  EXPECT_THAT(ended.out, HasSubstr("100.0 %"));
}

}  // namespace
}  // namespace mfi
