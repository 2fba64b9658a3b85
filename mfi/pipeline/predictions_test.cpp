#include "mfi/pipeline/predictions.h"

#include <gmock/gmock.h>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/formats/safetensors.h"

namespace mfi {
namespace {

using testing::HasSubstr;

TEST(Predictions, ComeBackAsTheyWereWritten) {
  const TestFolder folder;
  const Answers answers{{3, 0, 1}, {0.5F, 0.25F, 1.0F}, {3, 1, 1}};
  write_predictions(folder / kPredictionsFile, answers);
  const auto read = read_predictions(folder / kPredictionsFile);
  EXPECT_EQ(read.classes, answers.classes);
  EXPECT_EQ(read.probabilities, answers.probabilities);
  EXPECT_EQ(read.labels, answers.labels);
}

TEST(Predictions, MayBeOfNoImage) {
  const TestFolder folder;
  write_predictions(folder / kPredictionsFile, {});
  EXPECT_TRUE(read_predictions(folder / kPredictionsFile).labels.empty());
}

TEST(Predictions, AreNotFoundInARunOfAnOlderProgram) {
  const TestFolder folder;
  EXPECT_THROW(read_predictions(folder / kPredictionsFile), NotFoundError);
}

TEST(Predictions, AreNotTakenFromAFileThatHoldsSomethingElse) {
  const TestFolder folder;
  const float weights[] = {1, 2};
  write_safetensors(folder / "model.safetensors",
                    {{"class", TensorType::f32, {2}, reinterpret_cast<const std::byte*>(weights), sizeof weights}}, {});
  EXPECT_THAT(message_of<CheckpointError>([&] { read_predictions(folder / "model.safetensors"); }),
              HasSubstr("a row of numbers named class"));
}

TEST(Predictions, OfDifferentLengthsAreRefused) {
  const TestFolder folder;
  write_predictions(folder / kPredictionsFile, {{1, 2}, {0.5F, 0.5F}, {1}});
  EXPECT_THAT(message_of<CheckpointError>([&] { read_predictions(folder / kPredictionsFile); }), HasSubstr("differ"));
}

}  // namespace
}  // namespace mfi
