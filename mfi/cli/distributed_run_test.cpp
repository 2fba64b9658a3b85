// Several processes of the program that run one recipe together, as a launcher would start them.
#include <gmock/gmock.h>

#include <memory>

#include "mfi/cli/program.h"
#include "mfi/core/error.h"
#include "mfi/distributed/test_processes.h"
#include "mfi/pipeline/results.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;
using Variables = std::vector<std::pair<std::string, std::string>>;

// As small as run_test's. A test that does something to it has its teacher train for ever.
constexpr const char* kRecipe = R"(
name = "tiny"
[data]
dataset = "sample"
limit = 64
[network]
arch = "resnet20"
width = 8
[runtime]
precision = "fp32"
threads = 1
sync_batch_norm = true
[teacher]
epochs = 2
batch_size = 32
whitening = true
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

class DistributedRun : public testing::Test {
 protected:
  void SetUp() override { std::ofstream(recipe()) << kRecipe; }

  fs::path recipe() const { return folder_.path() / "tiny.toml"; }
  fs::path out(const std::string& name) const { return folder_.path() / name; }
  std::vector<std::string> arguments(const std::string& name, int64_t epochs = 2) const {
    return {"run", recipe(), "--out", out(name), "--set", "teacher.epochs=" + std::to_string(epochs)};
  }

  // Process `rank` of `size`; only the first one writes, so the others get a folder that must not appear.
  std::unique_ptr<Program> start(const std::string& name, int64_t rank, int64_t size, int64_t port,
                                 int64_t epochs = 2) const {
    const Variables variables{{"RANK", std::to_string(rank)},
                              {"WORLD_SIZE", std::to_string(size)},
                              {"LOCAL_RANK", std::to_string(rank)},
                              {"MASTER_ADDR", "127.0.0.1"},
                              {"MASTER_PORT", std::to_string(port)}};
    return std::make_unique<Program>(arguments(rank == 0 ? name : "others", epochs), variables);
  }

  std::vector<std::unique_ptr<Program>> start_two(const std::string& name, int64_t epochs = 2) const {
    const int64_t port = free_port();
    std::vector<std::unique_ptr<Program>> both;
    for (int64_t rank = 0; rank < 2; ++rank) both.push_back(start(name, rank, 2, port, epochs));
    return both;
  }

  TemporaryFolder folder_;
};

TEST_F(DistributedRun, LeavesTheRunFolderAndAllOutputToTheFirst) {
  const auto both = start_two("two");
  const auto first = both[0]->wait(), second = both[1]->wait();
  EXPECT_EQ(first.exit_code, 0) << first.error;
  EXPECT_EQ(second.exit_code, 0) << second.error;
  EXPECT_THAT(first.out, HasSubstr("\nhybrid "));
  EXPECT_THAT(first.error, HasSubstr("[6/6] hybrid: done"));
  EXPECT_EQ(second.out, "");
  EXPECT_EQ(second.error, "");
  EXPECT_FALSE(fs::exists(out("others")));
  EXPECT_EQ(read_results(out("two") / "results.json").steps.size(), 6u);

  // Nothing is left to be done, whatever the number of processes.
  const auto alone = run_program(arguments("two"));
  EXPECT_EQ(alone.exit_code, 0);
  EXPECT_THAT(alone.error, HasSubstr("hybrid: already done"));
  EXPECT_THAT(alone.error, Not(HasSubstr("epoch")));
}

TEST_F(DistributedRun, EndsSoonAfterAProcessIsKilledAndGoesOnWithTheOther) {
  const auto both = start_two("killed", 100000);
  ASSERT_TRUE(both[0]->wait_for(out("killed") / "teacher/state-a.safetensors"));
  both[1]->send(SIGKILL);
  const auto start = std::chrono::steady_clock::now();
  const auto first = both[0]->wait();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  EXPECT_EQ(first.exit_code, static_cast<int>(ExitCode::lost));
  EXPECT_THAT(first.error, HasSubstr("mfi: process 1 on "));
  EXPECT_THAT(first.error, HasSubstr("is lost"));
  EXPECT_EQ(both[1]->wait().exit_code, 128 + SIGKILL);

  Program alone(arguments("killed", 100000));
  EXPECT_TRUE(alone.wait_for_error("teacher: going on after epoch "));
  alone.send(SIGKILL);
  alone.wait();
}

TEST_F(DistributedRun, EndsWhenTheFirstProcessIsKilled) {
  const auto both = start_two("first", 100000);
  ASSERT_TRUE(both[0]->wait_for(out("first") / "teacher/state-a.safetensors"));
  both[0]->send(SIGKILL);
  const auto second = both[1]->wait();
  EXPECT_EQ(second.exit_code, static_cast<int>(ExitCode::lost));
  EXPECT_THAT(second.error, HasSubstr("mfi: process 0 on "));
  EXPECT_EQ(both[0]->wait().exit_code, 128 + SIGKILL);
}

TEST_F(DistributedRun, StopsAsAWholeWhenOneIsAskedTo) {
  const auto both = start_two("stopped", 100000);
  ASSERT_TRUE(both[0]->wait_for(out("stopped") / "teacher/state-a.safetensors"));
  both[1]->send(SIGINT);
  for (const auto& program : both) {
    const auto ended = program->wait();
    EXPECT_EQ(ended.exit_code, 130);
    EXPECT_THAT(ended.error, HasSubstr("mfi: stopped by Ctrl-C"));
  }
}

TEST_F(DistributedRun, RefusesDifferentRecipes) {
  const int64_t port = free_port();
  const auto first = start("different", 0, 2, port, 1), second = start("different", 1, 2, port, 2);
  for (const auto* program : {&first, &second}) {
    const auto ended = (*program)->wait();
    EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::usage));
    EXPECT_THAT(ended.error, HasSubstr("the recipe is not the same in all 2 processes"));
  }
  EXPECT_FALSE(fs::exists(out("different")));
}

TEST_F(DistributedRun, RefusesAHalfSetEnvironment) {
  const auto ended = Program(arguments("half"), {{"RANK", "0"}}).wait();
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::usage));
  EXPECT_THAT(ended.error, HasSubstr("mfi: environment: RANK=0, WORLD_SIZE is not set"));
  EXPECT_FALSE(fs::exists(out("half")));
}

TEST_F(DistributedRun, OfOneProcessIsNoOtherThanWithoutALauncher) {
  EXPECT_EQ(run_program(arguments("plain")).exit_code, 0);
  EXPECT_EQ(start("launched", 0, 1, free_port())->wait().exit_code, 0);
  for (const auto* step : {"teacher", "map", "hybrid"})
    EXPECT_TRUE(file_text(out("plain") / step / "model.safetensors") ==
                file_text(out("launched") / step / "model.safetensors"))
        << step;
}

}  // namespace
}  // namespace mfi
