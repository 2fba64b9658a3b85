// What the program says to commands that are not right, and that its documentation is.
#include <gmock/gmock.h>

#include <regex>
#include <set>

#include "mfi/cli/program.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

const std::vector<std::vector<std::string>> kCommands{
    {"run"},     {"watch"},  {"plan"}, {"eval"},        {"predict"},      {"import"}, {"export"}, {"verify"},
    {"inspect"}, {"report"}, {"data"}, {"data", "get"}, {"data", "list"}, {"bench"},  {"version"}};

std::string spoken(const std::vector<std::string>& command) {
  std::string out = "mfi";
  for (const auto& word : command) out += " " + word;
  return out;
}

fs::path sample_recipe() { return fs::path(MFI_SOURCE_DIR) / "recipes/sample.toml"; }

std::string docs(const std::string& name) { return file_text(fs::path(MFI_SOURCE_DIR) / "docs" / name); }

/// One message of the program, nothing else, and this exit code.
void expect_failure(const Ended& ended, ExitCode code, const std::string& text) {
  EXPECT_EQ(ended.exit_code, static_cast<int>(code)) << ended.error;
  EXPECT_THAT(ended.error, StartsWith("mfi: "));
  EXPECT_THAT(ended.error, HasSubstr(text));
  EXPECT_EQ(std::count(ended.error.begin(), ended.error.end(), '\n'), 1) << ended.error;
  EXPECT_THAT(ended.error, Not(HasSubstr("frame #")));
  EXPECT_THAT(ended.out, IsEmpty());
}

TEST(CommandLine, HasHelpWithAnExampleForEveryCommand) {
  for (auto words : kCommands) {
    const auto example = "Example:\n  " + spoken(words);
    words.push_back("--help");
    const auto ended = run_program(words);
    EXPECT_EQ(ended.exit_code, 0) << spoken(words);
    EXPECT_THAT(ended.out, HasSubstr(example));
    EXPECT_THAT(ended.error, IsEmpty());
  }
}

TEST(CommandLine, ShowsItsCommandsWhenThereIsNone) {
  const auto ended = run_program({});
  EXPECT_EQ(ended.exit_code, 64);
  for (const auto& words : kCommands) EXPECT_THAT(ended.error, HasSubstr("\n  " + words[0]));
}

TEST(CommandLine, NamesTheNearestCommand) {
  expect_failure(run_program({"rum", "x.toml"}), ExitCode::usage, "unknown command 'rum'; did you mean 'mfi run'?");
  expect_failure(run_program({"data", "gett"}), ExitCode::usage, "did you mean 'mfi data get'?");
}

TEST(CommandLine, NamesTheNearestFlag) {
  expect_failure(run_program({"run", "--dta", "x"}), ExitCode::usage,
                 "unknown flag --dta of 'mfi run'; did you mean --data?");
  expect_failure(run_program({"run", "x.toml", "--ouut=x"}), ExitCode::usage, "did you mean --out?");
}

TEST(CommandLine, SaysWhichArgumentIsMissing) {
  expect_failure(run_program({"run"}), ExitCode::usage, "RECIPE is required");
}

TEST(CommandLine, RefusesAProgressThatDoesNotExist) {
  expect_failure(run_program({"run", sample_recipe(), "--progress", "loud"}), ExitCode::usage, "--progress");
}

TEST(CommandLine, PrintsItsVersion) {
  const auto ended = run_program({"version"});
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_THAT(ended.out, StartsWith("mfi "));
  EXPECT_THAT(ended.out, HasSubstr("LibTorch 2."));
}

TEST(CommandLine, DoesNotFindARecipe) {
  for (const char* command : {"run", "plan", "inspect"})
    expect_failure(run_program({command, "no/such.toml"}), ExitCode::not_found, "no/such.toml");
}

TEST(CommandLine, NamesTheNearestRecipeKey) {
  for (const char* command : {"run", "plan"})
    expect_failure(run_program({command, sample_recipe(), "--set", "teacher.epoch=1"}), ExitCode::recipe,
                   "teacher.epochs");
}

TEST(CommandLine, NamesTheNearestStepToForce) {
  TemporaryFolder folder;
  expect_failure(run_program({"run", sample_recipe(), "--out", folder.path() / "run", "--force", "teachr"}),
                 ExitCode::usage, "did you mean teacher?");
}

TEST(CommandLine, SaysHowToGetDataThatIsMissing) {
  const auto recipe = (fs::path(MFI_SOURCE_DIR) / "recipes/cifar10-resnet34-w16.toml").string();
  TemporaryFolder folder;
  const auto run = (folder.path() / "run").string();
  expect_failure(run_program({"run", recipe, "--out", run}), ExitCode::not_found, "mfi data get cifar-10");
  expect_failure(run_program({"run", recipe, "--out", run, "--data", folder.path()}), ExitCode::not_found,
                 "mfi data get cifar-10");
}

TEST(CommandLine, CannotMakeARunFolderInsideAFile) {
  TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  expect_failure(run_program({"run", sample_recipe(), "--out", folder.path() / "file/run"}), ExitCode::cannot_write,
                 (folder.path() / "file/run").string());
}

TEST(CommandLine, LeavesARunFolderToItsOwner) {
  TemporaryFolder folder;
  const RunLock lock(folder.path());
  expect_failure(run_program({"run", sample_recipe(), "--out", folder.path()}), ExitCode::busy, folder.path().string());
}

TEST(CommandLine, RefusesADamagedModel) {
  TemporaryFolder folder;
  const auto model = folder.path() / "model.safetensors";
  std::ofstream(model) << "these are not the bytes of a model";
  for (const char* command : {"eval", "inspect"})
    expect_failure(run_program({command, model}), ExitCode::checkpoint, model.string());
}

TEST(CommandLine, FindsNoResultsInAnEmptyFolder) {
  TemporaryFolder folder;
  expect_failure(run_program({"report", folder.path()}), ExitCode::not_found, "results.json");
}

TEST(CommandLine, NeedsCudaToUseIt) {
  if (run_program({"version"}).out.find("CUDA:            yes") != std::string::npos) GTEST_SKIP() << "there is a GPU";
  TemporaryFolder folder;
  expect_failure(run_program({"run", sample_recipe(), "--out", folder.path(), "--set", "runtime.device=cuda"}),
                 ExitCode::recipe, "sees no CUDA device");
}

TEST(CommandLine, FailsWhenItsOutputCannotBeWritten) {
  const std::string command = std::string(MFI_PROGRAM) + " version >/dev/full 2>/dev/null";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), static_cast<int>(ExitCode::io));
}

TEST(Bench, PrintsOneLineOfJsonForEveryKindOfStep) {
  for (const std::string work : {"train", "eval", "map"}) {
    const auto ended =
        run_program({"bench", work, "--arch", "resnet20", "--width", "4", "--batch", "4", "--seconds", "0.01"});
    EXPECT_EQ(ended.exit_code, 0) << ended.error;
    EXPECT_THAT(ended.out, HasSubstr("{\"work\":\"" + work + "\",\"width\":4,\"batch\":4,\"mode\":\"mfi\""));
    for (const char* field : {"images_per_s", "peak_memory_bytes", "minor_faults_per_step"})
      EXPECT_TRUE(std::regex_search(ended.out, std::regex("\"" + std::string(field) + "\":[0-9.]+[,}]")))
          << field << " in " << ended.out;
    EXPECT_THAT(ended.out, Not(HasSubstr("waiting_percent")));
  }
}

TEST(Bench, SaysHowLongItWaitedForImages) {
  const auto ended = run_program(
      {"bench", "train", "--arch", "resnet20", "--width", "4", "--batch", "4", "--seconds", "0.01", "--loader"});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_TRUE(std::regex_search(ended.out, std::regex("\"waiting_percent\":[0-9]+\\.[0-9]+}\n$"))) << ended.out;
}

TEST(Bench, ShowsWhereTheTimeGoes) {
  const auto ended = run_program({"bench", "train", "--arch", "resnet20", "--width", "16", "--batch", "8",
                                  "--precision", "fp32", "--seconds", "0.3", "--profile"});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_TRUE(std::regex_search(ended.out, std::regex("}\n\noperation +calls a step +ms a step +share\n")));
  // ResNet-20: three stages of three blocks, of which the second and the third begin with a stride and a projection.
  EXPECT_TRUE(
      std::regex_search(ended.out, std::regex("\n(weight's gradient|gradients .oneDNN.) 3x3 16 -> 16, 32x32 +6 ")));
  EXPECT_TRUE(std::regex_search(ended.out, std::regex("\nnormalisation, shortcut, ReLU +21 ")));
  double sum = 0;
  const std::regex row("([0-9.]+) %\n");
  for (std::sregex_iterator at(ended.out.begin(), ended.out.end(), row), end; at != end; ++at)
    sum += std::stod((*at)[1]);
  EXPECT_NEAR(sum, 200, 3) << ended.out;  // the rows, rounded, and their total
}

TEST(Bench, HasNoLoaderInAnEvaluation) {
  expect_failure(run_program({"bench", "eval", "--loader"}), ExitCode::usage, "--loader is for train and map");
}

TEST(Plan, ShowsStepsNetworksAndTotalsWithoutData) {
  const auto ended = run_program({"plan", sample_recipe(), "--no-probe"});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  for (const char* text : {"teacher", "map", "meta", "incubate-1", "hybrid", "stage1", "flow: ", "100.0 %"})
    EXPECT_THAT(ended.out, HasSubstr(text));
}

TEST(Plan, EstimatesTimeAndMemory) {
  const auto ended = run_program({"plan", sample_recipe(), "--json"});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("\"seconds\": "));
  EXPECT_THAT(ended.out, HasSubstr("\"memory_bytes\": "));
}

TEST(Plan, GivesThePapersSizes) {
  const auto recipe = fs::path(MFI_SOURCE_DIR) / "recipes/paper/cifar10-resnet50.toml";
  const auto ended = run_program({"plan", recipe, "--no-probe"});
  EXPECT_THAT(ended.out, HasSubstr("23.52 M"));
}

TEST(Inspect, ShowsEveryKeyOfARecipeAndTheDefaultOfThoseThatDiffer) {
  const auto ended = run_program({"inspect", sample_recipe()});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_TRUE(std::regex_search(ended.out, std::regex("\ndata.dataset +\"sample\" +\"cifar-10\"\n"))) << ended.out;
  EXPECT_THAT(ended.out, HasSubstr("hybrid.warmup_epochs"));
}

TEST(Inspect, CountsTheSamplesImages) {
  const auto ended = run_program({"inspect", "sample"});
  EXPECT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("5000 images of 32 x 32, 500 a class"));
}

std::set<std::string> flags_in(const std::string& text) {
  std::set<std::string> out;
  const std::regex flag("--[a-z]+(-[a-z]+)*");
  for (std::sregex_iterator it(text.begin(), text.end(), flag), end; it != end; ++it)
    if (it->str() != "--help") out.insert(it->str());
  return out;
}

// Each command has a section of its own whose tables list its flags.
TEST(CommandsReference, ListsTheFlagsThatTheProgramHas) {
  const auto text = docs("commands.md");
  for (auto words : kCommands) {
    const auto title = "\n## " + spoken(words) + "\n";
    const auto start = text.find(title);
    ASSERT_NE(start, std::string::npos) << title;
    std::istringstream section(text.substr(start + 1, text.find("\n## ", start + 1) - start));
    std::string rows;
    for (std::string line; std::getline(section, line);)
      if (line.starts_with("| `")) rows += line.substr(0, line.find('|', 1)) + "\n";
    words.push_back("--help");
    auto help = run_program(words).out;
    help = help.substr(0, help.find("Example:"));
    EXPECT_EQ(flags_in(rows), flags_in(help)) << title;
  }
}

TEST(ErrorsReference, HasARowForEveryExitCode) {
  const auto text = docs("errors.md");
  for (const auto code : {ExitCode::ok, ExitCode::usage, ExitCode::bad_data, ExitCode::not_found, ExitCode::internal,
                          ExitCode::cannot_write, ExitCode::io, ExitCode::busy, ExitCode::diverged, ExitCode::recipe,
                          ExitCode::checkpoint, ExitCode::interrupted, ExitCode::terminated})
    EXPECT_THAT(text, HasSubstr("\n| " + std::to_string(static_cast<int>(code)) + " | "));
}

}  // namespace
}  // namespace mfi
