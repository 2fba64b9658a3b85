#include "mfi/deploy/classifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/formats/resize.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

// A network of five classes for 16x16 pixels, its weights drawn at random.
Model make_model() {
  auto arch = resnet_arch("resnet20", 4, 5);
  arch.image_size = 16;
  Model model;
  model.network = std::make_shared<Network>(arch);
  initialise(*model.network, 3);
  model.network->eval();
  model.info.class_names = {"ant", "bee", "cat", "dog", "eel"};
  model.info.normalisation = {{0.4f, 0.5f, 0.6f}, {0.2f, 0.3f, 0.4f}};
  model.info.resize = "bilinear";
  model.info.crop = 0.75;
  return model;
}

RgbImage make_picture(int64_t width, int64_t height, uint32_t seed = 1) {
  RgbImage image{width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
  for (auto& byte : image.pixels) byte = static_cast<uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
  return image;
}

void write_png(const std::filesystem::path& file, const RgbImage& picture) {
  std::ofstream(file, std::ios::binary) << encode_png(picture);
}

void expect_same(const std::vector<Prediction>& a, const std::vector<Prediction>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].index, b[i].index);
    // Another number of pictures in a batch may sum in another order.
    EXPECT_NEAR(a[i].probability, b[i].probability, 1e-5);
  }
}

// Every step by hand, in LibTorch's own operators.
TEST(Classifier, GivesTheSoftmaxOfTheNetworkOnThePictureAsTheModelSeesIt) {
  const auto model = make_model();
  const auto picture = make_picture(40, 30);
  const auto predictions = Classifier(model).classify(picture, 5);

  auto seen = fitted(picture, 16, 0.75, ResizeFilter::bilinear);
  const auto bytes = torch::from_blob(seen.pixels.data(), {16, 16, 3}, torch::kUInt8).permute({2, 0, 1});
  const auto mean = torch::tensor({0.4f, 0.5f, 0.6f}).view({3, 1, 1}),
             stddev = torch::tensor({0.2f, 0.3f, 0.4f}).view({3, 1, 1});
  torch::NoGradGuard no_grad;
  const auto images = ((bytes.to(torch::kFloat32) / 255 - mean) / stddev).unsqueeze(0);
  const auto expected = model.network->forward(images.contiguous(torch::MemoryFormat::ChannelsLast)).softmax(1)[0];

  ASSERT_EQ(predictions.size(), 5u);
  double sum = 0;
  for (size_t i = 0; i < 5; ++i) {
    const auto& p = predictions[i];
    // The classifier's network is folded, which rounds differently.
    EXPECT_NEAR(p.probability, expected[p.index].item<double>(), 1e-4);
    EXPECT_EQ(p.class_name, model.info.class_names[static_cast<size_t>(p.index)]);
    if (i > 0) {
      EXPECT_LE(p.probability, predictions[i - 1].probability);
    }
    sum += p.probability;
  }
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST(Classifier, GivesAllClassesWhereFewerThanAskedForExist) {
  const Classifier classifier(make_model());
  EXPECT_EQ(classifier.classify(make_picture(16, 16)).size(), 1u);
  EXPECT_EQ(classifier.classify(make_picture(16, 16), 3).size(), 3u);
  EXPECT_EQ(classifier.classify(make_picture(16, 16), 100).size(), 5u);
}

TEST(Classifier, ComesFromAModelFileAsFromMemory) {
  const TestFolder folder;
  const auto model = make_model();
  save_model(folder / "model.safetensors", *model.network, model.info);
  const auto picture = make_picture(20, 50);
  const auto loaded = Classifier::load(folder / "model.safetensors");
  EXPECT_EQ(loaded.class_names(), model.info.class_names);
  expect_same(loaded.classify(picture, 5), Classifier(model).classify(picture, 5));
}

TEST(Classifier, ClassifiesManyFilesAsEachAlone) {
  const TestFolder folder;
  const Classifier classifier(make_model());
  std::vector<std::filesystem::path> files;
  for (uint32_t i = 0; i < 5; ++i) {
    files.push_back(folder / ("picture" + std::to_string(i) + ".png"));
    write_png(files.back(), make_picture(16 + i, 24, i));
  }
  const auto rows = classifier.classify_files(files, 5);
  ASSERT_EQ(rows.size(), files.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].file, files[i]);
    EXPECT_EQ(rows[i].problem, "");
    expect_same(rows[i].predictions, classifier.classify(files[i], 5));
  }
}

TEST(Classifier, GoesOnBehindAFileThatCannotBeRead) {
  const TestFolder folder;
  const Classifier classifier(make_model());
  const auto broken = folder / "broken.jpg", good = folder / "good.png";
  std::ofstream(broken) << "no picture";
  write_png(good, make_picture(16, 16));
  const auto rows = classifier.classify_files({broken, good, folder / "none.png"});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_THAT(rows[0].problem, testing::HasSubstr(broken.string()));
  EXPECT_TRUE(rows[0].predictions.empty());
  EXPECT_EQ(rows[1].problem, "");
  EXPECT_EQ(rows[1].predictions.size(), 1u);
  EXPECT_THAT(rows[2].problem, testing::HasSubstr("none.png"));
  EXPECT_THROW(classifier.classify(broken), DataError);
  EXPECT_THROW(classifier.classify(folder / "none.png"), NotFoundError);
}

TEST(Classifier, StaysCloseToFloat32InBfloat16) {
  const auto model = make_model();
  const Classifier exact(model), rounded(model, ClassifierPrecision::bf16);
  const auto picture = make_picture(16, 16);
  std::vector<double> probabilities(5);
  for (const auto& p : exact.classify(picture, 5)) probabilities[static_cast<size_t>(p.index)] = p.probability;
  double difference = 0;
  for (const auto& p : rounded.classify(picture, 5))
    difference = std::max(difference, std::abs(p.probability - probabilities[static_cast<size_t>(p.index)]));
  EXPECT_GT(difference, 0);  // else bfloat16 was not used
  // A logit of about 1 through twenty layers that round at 2^-9 each.
  EXPECT_LT(difference, 0.05);
}

}  // namespace
}  // namespace mfi
