#include "mfi/train/training_state.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::HasSubstr;

TrainingPosition position(int64_t epoch, int64_t batch) {
  TrainingPosition out;
  out.epoch = epoch;
  out.batch = batch;
  out.sums = {{0.1 + 0.2, 1e-300}, 128, 77, 1.5};
  out.rate_factor = 0.5;
  out.rewinds = 1;
  out.rows = {{{"epoch", 1}, {"loss", 1.0 / 3}}};
  out.times = {{2.5, 100, 1.7e9}};
  out.seconds = 3.25;
  return out;
}

const TrainingIdentity kIdentity{"fingerprint", "family", 4, "here"};

torch::Tensor filled(double value) { return torch::full({3}, value); }

void save(StateFiles& files, int64_t epoch, double value) {
  files.save(kIdentity, position(epoch, 0), {{"w", filled(value)}});
}

double load(const TestFolder& folder, const TrainingIdentity& identity = kIdentity) {
  const auto w = filled(-1);
  StateFiles(folder.path()).load(identity, {{"w", w}});
  return w[0].item<double>();
}

TEST(TrainingPosition, IsReadAsItWasWritten) {
  const auto before = position(3, 17), after = position_from_json(position_to_json(before));
  EXPECT_EQ(after.epoch, 3);
  EXPECT_EQ(after.batch, 17);
  EXPECT_EQ(after.sums.losses, before.sums.losses);
  EXPECT_EQ(after.sums.correct, 77);
  EXPECT_EQ(after.rate_factor, 0.5);
  EXPECT_EQ(after.rewinds, 1);
  EXPECT_EQ(after.rows, before.rows);
  EXPECT_EQ(after.times[0].wall_time, 1.7e9);
  EXPECT_EQ(after.seconds, 3.25);
  EXPECT_EQ(after.text(24), "batch 17 of epoch 4 of 24");
}

TEST(StateFiles, KeepTheLastTwoAndLoadTheNewest) {
  const TestFolder folder;
  StateFiles files(folder.path());
  for (int64_t epoch = 1; epoch <= 5; ++epoch) {
    save(files, epoch, static_cast<double>(epoch));
    EXPECT_EQ(load(folder), static_cast<double>(epoch));
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2);
  std::filesystem::remove(StateFiles(folder.path()).peek()->file);
  EXPECT_EQ(load(folder), 4);
}

// More than a safetensors header may hold.
TEST(StateFiles, HoldTheRowsOfAVeryLongTraining) {
  const TestFolder folder;
  StateFiles files(folder.path());
  auto before = position(100'000, 0);
  before.rows.resize(100'000, {{"epoch", 1}, {"learning_rate", 0.1}, {"loss", 1.0 / 3}, {"train_percent", 200.0 / 3}});
  before.times.resize(100'000, {2.5, 1000.0 / 3, 1.7e9});
  files.save({"fingerprint", "family", 200'000, "here"}, before, {{"w", filled(1)}});
  const auto w = filled(0);
  const auto found = StateFiles(folder.path()).load(kIdentity, {{"w", w}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->position.rows, before.rows);
  EXPECT_EQ(found->position.times.size(), before.times.size());
}

// What was loaded must not be overwritten by the next save, which may fail.
TEST(StateFiles, GoOnInThePlaceOfTheOlderOne) {
  const TestFolder folder;
  StateFiles first(folder.path());
  save(first, 1, 1);
  save(first, 2, 2);
  StateFiles second(folder.path());
  const auto w = filled(0);
  const auto found = second.load(kIdentity, {{"w", w}});
  save(second, 3, 3);
  EXPECT_TRUE(std::filesystem::exists(found->file));
  std::filesystem::remove(StateFiles(folder.path()).peek()->file);
  EXPECT_EQ(load(folder), 2);
}

// A network may train well and its running statistics lag so far behind that an evaluation is not finite.
TEST(StateFiles, HoldMetricsThatAreNotFinite) {
  const TestFolder folder;
  StateFiles files(folder.path());
  auto before = position(1, 0);
  before.rows = {{{"epoch", 1}, {"validation_loss", std::numeric_limits<double>::infinity()}}};
  files.save(kIdentity, before, {{"w", filled(1)}});
  const auto w = filled(0);
  const auto found = StateFiles(folder.path()).load(kIdentity, {{"w", w}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->position.rows[0][0].second, 1);
  EXPECT_TRUE(std::isnan(found->position.rows[0][1].second));
}

TEST(StateFiles, AreNotThoseOfAnotherTraining) {
  const TestFolder folder;
  StateFiles files(folder.path());
  save(files, 2, 2);
  EXPECT_EQ(load(folder, {"other", "other family", 4, ""}), -1);
  EXPECT_EQ(load(folder, {"other", "family", 6, ""}), 2) << "a longer training of the family";
  EXPECT_EQ(load(folder, {"other", "family", 1, ""}), -1) << "it has trained two epochs already";
  EXPECT_EQ(load(folder, {"other", "family", 3, ""}), -1) << "it has trained two of four, at the rates of four";
}

// Every byte of the header and of the data of the newer of two.
TEST(StateFiles, TakeTheOlderOneWhereverTheNewerIsDamaged) {
  const TestFolder folder;
  StateFiles files(folder.path());
  save(files, 1, 1);
  save(files, 2, 2);
  const auto newest = files.peek()->file;
  std::ifstream in(newest, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (size_t at = 0; at < whole.size(); ++at) {
    auto bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    std::ofstream(newest, std::ios::binary) << bytes;
    const auto w = filled(-1);
    const auto found = StateFiles(folder.path()).load(kIdentity, {{"w", w}});
    ASSERT_TRUE(found) << at;
    ASSERT_EQ(w[0].item<double>(), 1) << "byte " << at;
    ASSERT_THAT(found->damaged, HasSubstr(newest.filename().string()));
  }
  for (size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(newest, std::ios::binary) << whole.substr(0, size);
    ASSERT_EQ(load(folder), 1) << "cut to " << size;
  }
}

TEST(StateFiles, MayBeReducedToTheNewest) {
  const TestFolder folder;
  StateFiles files(folder.path());
  save(files, 1, 1);
  save(files, 2, 2);
  files.keep_newest();
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  EXPECT_EQ(load(folder), 2);
  files.remove();
  EXPECT_EQ(load(folder), -1);
}

}  // namespace
}  // namespace mfi
