#include "mfi/pipeline/events.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <sstream>

namespace mfi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class Recorder : public Observer {
 public:
  void on_progress(const Progress& p) override { progress.push_back(p); }
  void on_phase(const std::string& step, const std::string& phase) override { phases.emplace_back(step, phase); }
  void on_epoch(const std::string& step, const Metrics& row) override { epochs.emplace_back(step, row); }
  void on_message(const std::string& text) override { messages.push_back(text); }
  std::vector<Progress> progress;
  std::vector<std::pair<std::string, std::string>> phases;
  std::vector<std::pair<std::string, Metrics>> epochs;
  std::vector<std::string> messages;
};

class Events : public testing::Test {
 protected:
  EventWriter writer() {
    return EventWriter(out_, 1, [this] { return std::chrono::steady_clock::time_point(std::chrono::seconds(now_)); });
  }
  Recorder replayed() const {
    Recorder out;
    std::istringstream lines(out_.str());
    for (std::string line; std::getline(lines, line);) EXPECT_TRUE(replay_event(line, out)) << line;
    return out;
  }
  static Progress progress(int64_t batch) {
    Progress out;
    out.step = "map";
    out.epoch = 2;
    out.epochs = 3;
    out.batch = batch;
    out.batches = 9;
    out.loss = 0.1;
    out.images_per_second = 123.456;
    out.seconds_left_in_step = 7.25;
    return out;
  }

  int now_ = 0;
  std::ostringstream out_;
};

TEST_F(Events, GiveBackTheSameProgress) {
  auto with_accuracy = progress(4);
  with_accuracy.accuracy_percent = 87.5;
  auto events = writer();
  events.on_progress(progress(3));
  now_ = 1;
  events.on_progress(with_accuracy);
  const auto got = replayed().progress;
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].step, "map");
  EXPECT_EQ(got[0].epoch, 2);
  EXPECT_EQ(got[0].epochs, 3);
  EXPECT_EQ(got[0].batch, 3);
  EXPECT_EQ(got[0].batches, 9);
  EXPECT_EQ(got[0].loss, 0.1);
  EXPECT_EQ(got[0].accuracy_percent, -1);
  EXPECT_EQ(got[0].images_per_second, 123.456);
  EXPECT_EQ(got[0].seconds_left_in_step, 7.25);
  EXPECT_EQ(got[1].accuracy_percent, 87.5);
}

TEST_F(Events, GiveBackAnEpochsRowInItsOrder) {
  const Metrics row{{"epoch", 1}, {"loss", 0.1}, {"accuracy", 3}};
  writer().on_epoch("meta", row);
  EXPECT_THAT(replayed().epochs, ElementsAre(Pair("meta", row)));
}

TEST_F(Events, GiveBackAPhase) {
  writer().on_phase("meta", "evaluate");
  EXPECT_THAT(replayed().phases, ElementsAre(Pair("meta", "evaluate")));
}

TEST_F(Events, GiveBackMessagesWhateverIsInThem) {
  writer().on_message("a \"word\"\nand \xc3\xa9 and \xff");
  EXPECT_THAT(replayed().messages, ElementsAre(HasSubstr("a \"word\"\nand \xc3\xa9 and ")));
}

TEST_F(Events, KeepANumberThatIsNotFiniteApart) {
  writer().on_epoch("map", {{"loss", std::numeric_limits<double>::quiet_NaN()}});
  EXPECT_TRUE(std::isnan(replayed().epochs.at(0).second.at(0).second));
}

TEST_F(Events, AreNotWrittenForEveryBatchButForTheLastOfAnEpoch) {
  auto events = writer();
  for (int64_t batch = 1; batch <= 9; ++batch) events.on_progress(progress(batch));
  events.on_epoch("map", {{"epoch", 1}});
  const auto got = replayed();
  ASSERT_EQ(got.progress.size(), 2u);
  EXPECT_EQ(got.progress[0].batch, 1);
  EXPECT_EQ(got.progress[1].batch, 9);
}

TEST_F(Events, OfStepsSideBySideAreWrittenOfEach) {
  auto events = writer();
  for (int64_t batch = 1; batch <= 9; ++batch)
    for (const char* step : {"incubate-1", "incubate-2"}) {
      auto one = progress(batch);
      one.step = step;
      events.on_progress(one);
    }
  events.on_epoch("incubate-2", {{"epoch", 1}});
  std::vector<std::pair<std::string, int64_t>> got;
  for (const auto& one : replayed().progress) got.emplace_back(one.step, one.batch);
  EXPECT_THAT(got, ElementsAre(Pair("incubate-1", 1), Pair("incubate-2", 1), Pair("incubate-2", 9)));
}

TEST_F(Events, TellStartAndEndOfAStep) {
  PlannedStep map, meta;
  map.name = "map";
  meta.name = "meta";
  StepResult result;
  result.step = "map";
  result.test_top1_percent = 12.5;
  result.seconds = 3;
  auto events = writer();
  events.on_step_start(map, {&map, &meta});
  events.on_step_done(result, false);
  EXPECT_EQ(
      out_.str(),
      "{\"event\":\"start\",\"step\":\"map\",\"remaining\":[\"map\",\"meta\"]}\n"
      "{\"event\":\"done\",\"step\":\"map\",\"was_already_done\":false,\"test_top1_percent\":12.5,\"seconds\":3.0}\n");
}

TEST(ReplayEvent, RefusesOtherLines) {
  Recorder recorder;
  for (const char* line : {"", "mfi: no", "{}", "{\"event\":\"progress\",\"step\":", "{\"event\":\"progress\"}"})
    EXPECT_FALSE(replay_event(line, recorder)) << line;
}

}  // namespace
}  // namespace mfi
