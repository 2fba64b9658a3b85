// Watching a run from another process.
#include <gmock/gmock.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "mfi/cli/program.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/pipeline/progress_file.h"

namespace mfi {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

// As small as run_test's, with a teacher that trains for ever where a test wants that.
constexpr const char* kRecipe = R"(
name = "tiny"
[data]
dataset = "sample"
limit = 64
[network]
arch = "resnet20"
width = 4
[runtime]
precision = "fp32"
threads = 1
[teacher]
epochs = 2
batch_size = 32
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
epochs = 1
batch_size = 64
)";

class Watching : public testing::Test {
 protected:
  void SetUp() override { std::ofstream(folder_.path() / "tiny.toml") << kRecipe; }

  fs::path run() const { return folder_.path() / "run"; }
  std::vector<std::string> run_words(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> out{"run", folder_.path() / "tiny.toml", "--out", run()};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  std::unique_ptr<Program> start_endless(const std::vector<std::string>& more = {}) const {
    auto words = run_words({"--set", "teacher.epochs=100000"});
    words.insert(words.end(), more.begin(), more.end());
    auto out = std::make_unique<Program>(words);
    EXPECT_TRUE(out->wait_for(progress_file(run() / "teacher")));
    return out;
  }
  Json now() const {
    const auto ended = run_program({"watch", run(), "--json"});
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    return Json::parse(ended.out);
  }
  std::vector<std::string> watch_words() const { return {"watch", run(), "--interval", "0.05"}; }

  TemporaryFolder folder_;
};

TEST_F(Watching, FromBeforeTheRunTellsEveryStepAndEndsWithIt) {
  Program watch(watch_words());
  const auto ran = run_program(run_words());
  ASSERT_EQ(ran.exit_code, 0) << ran.error;
  const auto ended = watch.wait();
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, testing::StartsWith("waiting for a run in " + run().string()));
  for (const auto* step : {"teacher", "map", "meta", "incubate-1", "incubate-2", "hybrid"})
    EXPECT_THAT(ended.out, HasSubstr(std::string("] ") + step + ": done, test top-1 "));
  EXPECT_THAT(ended.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(ended.error, HasSubstr("'mfi report " + run().string() + "'"));
  for (const auto& entry : fs::recursive_directory_iterator(run()))
    EXPECT_THAT(entry.path().string(), Not(HasSubstr("progress.json")));
}

TEST_F(Watching, OnceShowsWhatIsGoingOn) {
  const auto running = start_endless();
  const auto json = now();
  EXPECT_EQ(json.at("run"), run().string());
  EXPECT_EQ(json.at("state"), "running");
  const auto& teacher = json.at("steps").at(0);
  EXPECT_EQ(teacher.at("state"), "running");
  EXPECT_EQ(teacher.at("epochs"), 100000);
  EXPECT_LT(teacher.at("silent_seconds"), 30);
  EXPECT_EQ(json.at("steps").at(1), (Json{{"step", "map"}, {"state", "waiting"}}));

  const auto text = run_program({"watch", run(), "--once"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("teacher"), HasSubstr(" %  epoch "), HasSubstr("/100000  loss "),
                              HasSubstr("incubate-1  waiting\n"), HasSubstr("0 of 6 steps done")));
  running->send(SIGKILL);
  running->wait();
}

TEST_F(Watching, ShowsTheTeacherOfASearchAndThatItGoesOn) {
  Program searching({"search", folder_.path() / "tiny.toml", "--out", run(), "--set", "teacher.epochs=100000"});
  ASSERT_TRUE(searching.wait_for(progress_file(run() / "teacher")));
  const auto json = now();
  EXPECT_EQ(json.at("state"), "running");
  EXPECT_EQ(json.at("steps").at(0).at("epochs"), 100000);
  searching.send(SIGINT);
  EXPECT_EQ(searching.wait().exit_code, 130);
  EXPECT_FALSE(now().at("searches").get<bool>());

  // As a search holds it while it maps and fine-tunes.
  fs::create_directories(run() / "search");
  const RunLock lock(run() / "search");
  EXPECT_TRUE(now().at("searches").get<bool>());
  EXPECT_THAT(run_program({"watch", run(), "--once"}).out,
              HasSubstr("mfi search is at work there, and shows its own steps; 0 of 6 steps done"));
}

TEST_F(Watching, EndsWhenTheRunHasBeenStopped) {
  const auto running = start_endless();
  Program watch(watch_words());
  running->send(SIGINT);
  EXPECT_EQ(running->wait().exit_code, 130);
  const auto ended = watch.wait();
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::lost));
  EXPECT_THAT(ended.out, HasSubstr("[1/6] teacher: stopped in epoch "));
  EXPECT_THAT(ended.error,
              HasSubstr("mfi: " + run().string() + ": stopped before its end; the same 'mfi run' goes on"));
  EXPECT_TRUE(read_step_progress(run() / "teacher")->ended);
}

TEST_F(Watching, EndsWhenTheRunHasBeenKilled) {
  const auto running = start_endless();
  running->send(SIGKILL);
  running->wait();
  EXPECT_FALSE(read_step_progress(run() / "teacher")->ended);
  EXPECT_EQ(now().at("state"), "stopped");
  EXPECT_EQ(run_program(watch_words()).exit_code, static_cast<int>(ExitCode::lost));
}

TEST_F(Watching, SeesStepsThatAreProcesses) {
  const auto running = start_endless({"--jobs", "2"});
  const auto json = now();
  EXPECT_EQ(json.at("state"), "running");
  EXPECT_EQ(json.at("steps").at(0).at("state"), "running");
  EXPECT_EQ(read_run_progress(run())->jobs, 2);
  running->send(SIGTERM);
  EXPECT_EQ(running->wait().exit_code, 143);
  EXPECT_EQ(now().at("state"), "stopped");
  EXPECT_FALSE(fs::exists(progress_file(run())));
}

TEST_F(Watching, FindsNothingToWatch) {
  const auto expect_not_found = [&](const std::vector<std::string>& words, const std::string& text) {
    const auto ended = run_program(words);
    EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::not_found));
    EXPECT_THAT(ended.error, AllOf(testing::StartsWith("mfi: "), HasSubstr(text)));
    EXPECT_EQ(std::count(ended.error.begin(), ended.error.end(), '\n'), 1);
    EXPECT_EQ(ended.out, "");
  };
  expect_not_found({"watch", run(), "--once"}, "no run has begun there");
  expect_not_found({"watch", run(), "--json"}, "no run has begun there");
  expect_not_found({"watch", folder_.path()}, "has no recipe.toml");
  expect_not_found({"watch", folder_.path() / "tiny.toml"}, "is no folder");
  EXPECT_EQ(run_program({"watch"}).exit_code, static_cast<int>(ExitCode::usage));
  EXPECT_EQ(run_program({"watch", run(), "--interval", "0"}).exit_code, static_cast<int>(ExitCode::usage));
}

}  // namespace
}  // namespace mfi
