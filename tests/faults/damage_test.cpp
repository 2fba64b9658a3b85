// Random bytes of models and states are changed: whatever reads one says so, and takes nothing from it.
//
// MFI_DAMAGES=N bytes in turn, MFI_FAULT_SEED=N for others.
#include <gmock/gmock.h>

#include <cstdio>
#include <random>

#include "tests/faults/tiny_run.h"

namespace mfi {
namespace {

using testing::AnyOf;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;

std::mt19937 random_numbers() {
  return std::mt19937(static_cast<unsigned>(number_from_environment("MFI_FAULT_SEED", 1)));
}

void write(const fs::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

/// Makes one bit of the file another one; what it was before.
std::string damage(const fs::path& file, std::mt19937& random) {
  const auto whole = file_text(file);
  auto bytes = whole;
  const size_t at = random() % bytes.size();
  bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
  write(file, bytes);
  return whole;
}

TEST(Damage, OfAModelIsNamedByWhateverReadsIt) {
  const int damages = number_from_environment("MFI_DAMAGES", 2);
  auto random = random_numbers();
  const TinyRun runs;
  const auto model = runs.path("whole") / "hybrid/model.safetensors";
  const auto out = runs.path("out.onnx").string();
  const std::vector<std::vector<std::string>> commands{
      {"eval", model, "--dataset", "sample"}, {"inspect", model}, {"export", model, "--format", "onnx", "--out", out}};
  for (int i = 0; i < damages; ++i)
    for (const auto& command : commands) {
      const auto whole = damage(model, random);
      const auto ended = run_program(command);
      write(model, whole);
      EXPECT_EQ(ended.exit_code, 79) << command[0] << ": " << ended.out << ended.error;
      EXPECT_THAT(ended.error, HasSubstr(model.string())) << command[0];
      EXPECT_FALSE(fs::exists(out));
    }
}

// The run ends before the step that builds on it, and goes on when the file is back.
TEST(Damage, OfAnInputEndsARunThatBuildsOnIt) {
  const int damages = number_from_environment("MFI_DAMAGES", 2);
  auto random = random_numbers();
  const TinyRun runs;
  fs::copy(runs.path("whole"), runs.path("run"), fs::copy_options::recursive);
  const auto model = runs.path("run") / "meta/model.safetensors";
  for (int i = 0; i < damages; ++i) {
    fs::remove(runs.path("run") / "hybrid/step.json");
    fs::remove(runs.path("run") / "hybrid/state-a.safetensors");
    fs::remove(runs.path("run") / "hybrid/state-b.safetensors");
    const auto whole = damage(model, random);
    const auto ended = run_program(runs.arguments("run"));
    EXPECT_EQ(ended.exit_code, 79) << ended.error;
    EXPECT_THAT(ended.error, HasSubstr(model.string()));
    EXPECT_THAT(runs.differences("run"),
                Each(AnyOf(HasSubstr("hybrid/"), HasSubstr("results.json"), "meta/model.safetensors")));
    write(model, whole);
    EXPECT_EQ(runs.finish("run").exit_code, 0);
    EXPECT_THAT(runs.differences("run"), IsEmpty());
  }
}

TEST(Damage, OfTheNewerStateCostsABatchAndOfBothIsNotGoneOnFrom) {
  const int damages = number_from_environment("MFI_DAMAGES", 2);
  auto random = random_numbers();
  const TinyRun runs;
  for (int i = 0; i < damages; ++i) {
    Program killed(runs.arguments("run"));
    ASSERT_TRUE(killed.wait_for(runs.path("run") / "map/state-b.safetensors"));
    killed.send(SIGKILL);
    killed.wait();
    const auto a = runs.path("run") / "map/state-a.safetensors", b = runs.path("run") / "map/state-b.safetensors";
    const auto whole_a = damage(a, random), whole_b = damage(b, random);
    const auto refused = run_program(runs.arguments("run"));
    EXPECT_EQ(refused.exit_code, 79) << refused.error;
    EXPECT_THAT(refused.error, HasSubstr("No other state of this training is whole"));
    // The newer one or the older, as it comes.
    random() % 2 == 0 ? write(a, whole_a) : write(b, whole_b);
    const auto ended = runs.finish("run");
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    EXPECT_THAT(runs.differences("run"), IsEmpty());
    runs.remove("run");
  }
}

}  // namespace
}  // namespace mfi
