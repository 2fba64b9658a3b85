// What the program says to commands that are not right, and that its documentation is.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
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

// All that the program has, hidden ones apart, as its own table says.
const nlohmann::json& command_table() {
  static const auto table = nlohmann::json::parse(run_program({"completion", "json"}).out);
  return table;
}

// "data", "get" of "mfi data get"; empty for the program itself.
std::vector<std::string> words_of(const nlohmann::json& command) {
  std::istringstream spoken(command["command"].get<std::string>());
  std::vector<std::string> words;
  for (std::string word; spoken >> word;) words.push_back(word);
  words.erase(words.begin());
  return words;
}

std::vector<std::vector<std::string>> all_commands() {
  std::vector<std::vector<std::string>> out;
  for (const auto& command : command_table()["commands"])
    if (auto words = words_of(command); !words.empty()) out.push_back(words);
  return out;
}

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
  ASSERT_GT(all_commands().size(), 12u);
  for (auto words : all_commands()) {
    const auto example = "  " + spoken(words);
    words.push_back("--help");
    const auto ended = run_program(words);
    EXPECT_EQ(ended.exit_code, 0) << spoken(words);
    EXPECT_TRUE(std::regex_search(ended.out, std::regex("\nExamples?:\n" + example))) << ended.out;
    EXPECT_THAT(ended.error, IsEmpty());
  }
}

TEST(CommandLine, HasHelpThatFitsIntoEightyColumns) {
  auto commands = all_commands();
  commands.push_back({});
  for (auto words : commands) {
    words.push_back("--help");
    std::istringstream lines(run_program(words).out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(CommandLine, ShowsItsCommandsWhenThereIsNone) {
  const auto ended = run_program({});
  EXPECT_EQ(ended.exit_code, 64);
  for (const auto& words : all_commands())
    if (words.size() == 1) {
      EXPECT_THAT(ended.error, HasSubstr("\n  " + words[0]));
    }
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

TEST(CommandLine, NamesTheNearestValueOfAFixedSet) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"run", sample_recipe(), "--progress", "plan"}, "--progress is 'plan', expected one of auto, bar, plain"},
      {{"run", sample_recipe(), "--progress", "plan"}, "did you mean plain?"},
      {{"predict", "m", "p", "--format", "jsno"}, "did you mean json?"},
      {{"export", "m", "--out", "x", "--format=onx"}, "did you mean onnx?"},
      {{"eval", "m", "--precision", "fp23"}, "did you mean fp32?"},
      {{"import", "f", "--out", "m", "--shortcut", "paded"}, "did you mean padded?"},
      {{"bench", "trian"}, "WORK is 'trian', expected one of train, eval, map, load; did you mean train?"},
      {{"bench", "train", "--device", "gpu"}, "--device is 'gpu', expected one of cpu, cuda"},
      {{"completion", "fis"}, "did you mean fish?"}};
  for (const auto& [words, text] : cases) expect_failure(run_program(words), ExitCode::usage, text);
}

TEST(CommandLine, NamesTheNearestDataset) {
  expect_failure(run_program({"data", "get", "cifra-10", "--into", "x"}), ExitCode::usage, "did you mean cifar-10?");
  for (const char* command : {"eval", "export", "verify"}) {
    std::vector<std::string> words{command, "m", "--dataset", "pictres"};
    for (const char* needed : {"--out", "--against"})
      if (run_program({command, "--help"}).out.find(std::string(" ") + needed) != std::string::npos)
        words.insert(words.end(), {needed, "x"});
    expect_failure(run_program(words), ExitCode::usage, "did you mean pictures?");
  }
  expect_failure(run_program({"run", sample_recipe(), "--set", "data.dataset=cifar10"}), ExitCode::recipe,
                 "did you mean cifar-10?");
}

TEST(CommandLine, NamesTheNearestNetwork) {
  expect_failure(run_program({"import", "f", "--out", "m", "--arch", "resent50"}), ExitCode::usage,
                 "did you mean resnet50?");
  expect_failure(run_program({"bench", "train", "--arch", "resnet35"}), ExitCode::usage, "did you mean resnet34?");
  expect_failure(run_program({"plan", sample_recipe(), "--set", "network.arch=resnt20"}), ExitCode::recipe,
                 "did you mean resnet20?");
}

TEST(CommandLine, PrintsItsVersion) {
  const auto ended = run_program({"version"});
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_THAT(ended.out, StartsWith("mfi "));
  EXPECT_THAT(ended.out, HasSubstr("LibTorch 2."));
}

TEST(CommandLine, SaysWhatAPageOfARunNeeds) {
  expect_failure(run_program({"report", "x", "--data", "y"}), ExitCode::usage, "--data: expected --html with it");
  expect_failure(run_program({"report", "x", "--no-latency"}), ExitCode::usage, "expected --html with it");
  expect_failure(run_program({"report", "x", "y", "--html"}), ExitCode::usage, "expected a file to write");
  TemporaryFolder folder;
  expect_failure(run_program({"report", "x", "y", "--html", folder.path()}), ExitCode::usage, "this is a folder");
  expect_failure(run_program({"report", folder.path(), "--html"}), ExitCode::not_found, "no run has finished a step there");
  EXPECT_FALSE(fs::exists(folder.path() / "report.html"));
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

TEST(CommandLine, NamesTheNearestKeySectionAndValueInARecipe) {
  TemporaryFolder folder;
  const auto recipe = (folder.path() / "my.toml").string();
  const std::vector<std::pair<std::string, std::string>> cases{
      {"[teacher]\nepoch = 3\n", "did you mean teacher.epochs?"},
      {"[techer]\nepochs = 3\n", "did you mean teacher?"},
      {"[data]\ndataset = \"smaple\"\n", "did you mean sample?"}};
  for (const auto& [text, answer] : cases) {
    std::ofstream(recipe) << text;
    expect_failure(run_program({"plan", recipe}), ExitCode::recipe, answer);
  }
}

TEST(CommandLine, NamesTheNearestStep) {
  TemporaryFolder folder;
  expect_failure(run_program({"run", sample_recipe(), "--out", folder.path() / "run", "--force", "teachr"}),
                 ExitCode::usage, "did you mean teacher?");
  expect_failure(run_program({"run", sample_recipe(), "--out", folder.path() / "run", "--only", "hybird"}),
                 ExitCode::usage, "did you mean hybrid?");
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
  expect_failure(run_program({"report", folder.path()}), ExitCode::not_found, "no run has finished a step there");
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

TEST(CommandLine, SaysThatItsReaderHasGone) {
  const TemporaryFolder folder;
  const auto error = folder.path() / "error", code = folder.path() / "code";
  const std::string program = MFI_PROGRAM, pipe = folder.path() / "pipe";
  const auto line = "mkfifo '" + pipe + "'; exec 3<>'" + pipe + "' 4>'" + pipe + "' 3<&-; '" + program +
                    "' explain >&4 2>'" + error.string() + "'; echo $? >'" + code.string() + "'";
  ASSERT_EQ(std::system(line.c_str()), 0);
  EXPECT_EQ(file_text(code), std::to_string(static_cast<int>(ExitCode::io)) + "\n");
  EXPECT_EQ(file_text(error), "mfi: standard output could not be written\n");
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

// The words of `text` that begin like flags.
std::set<std::string> flags_in(const std::string& text) {
  std::set<std::string> out;
  const std::regex flag("--[a-z0-9]+(-[a-z0-9]+)*");
  for (std::sregex_iterator it(text.begin(), text.end(), flag), end; it != end; ++it)
    if (it->str() != "--help") out.insert(it->str());
  return out;
}

std::set<std::string> flags_of(const nlohmann::json& command) {
  std::set<std::string> out;
  for (const auto& option : command["options"])
    for (const auto& flag : option.value("flags", nlohmann::json::array())) out.insert(flag.get<std::string>());
  return out;
}

// The first letters of the flags' lines in --help.
std::string left_column(const std::string& help) {
  std::istringstream lines(help);
  std::string out;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("  --")) out += line.substr(0, line.find("  ", 4)) + "\n";
  return out;
}

std::string section(const std::string& text, const std::string& title) {
  const auto start = text.find("\n## " + title + "\n");
  if (start == std::string::npos) return "";
  return text.substr(start + 1, text.find("\n## ", start + 1) - start);
}

// The table of commands, --help, the manual pages, the three completions and docs/commands.md: each flag is in all.
TEST(CommandsReference, AgreesWithTheTableTheHelpTheManualAndTheCompletions) {
  const auto reference = docs("commands.md");
  TemporaryFolder pages;
  ASSERT_EQ(run_program({"man", "--into", pages.path()}).exit_code, 0);
  std::map<std::string, std::string> scripts;
  for (const char* shell : {"bash", "zsh", "fish"}) scripts[shell] = run_program({"completion", shell}).out;
  for (const auto& command : command_table()["commands"]) {
    auto words = words_of(command);
    const auto title = spoken(words), path = title.substr(std::min<size_t>(4, title.size()));
    const auto flags = flags_of(command);
    const auto file = std::regex_replace(title, std::regex(" "), "-") + ".1";
    const auto manual = std::regex_replace(file_text(pages.path() / file), std::regex(R"(\\-)"), "-");
    words.push_back("--help");
    EXPECT_EQ(flags_in(left_column(run_program(words).out)), flags) << title << " --help";
    std::string bold;
    for (size_t at = 0; (at = manual.find("\\fB--", at)) != std::string::npos; ++at)
      bold += manual.substr(at + 3, manual.find("\\fR", at) - at - 3) + "\n";
    EXPECT_EQ(flags_in(bold), flags) << "mfi man " << path;

    for (const auto& flag : flags) {
      EXPECT_TRUE(
          std::regex_search(scripts["bash"], std::regex("\n    '" + path + "'\\) echo '[^\n]*" + flag + "[ ']")))
          << "bash: " << title << " " << flag;
      EXPECT_THAT(scripts["fish"], HasSubstr("'__mfi_is \\'" + path + "\\'' -l " + flag.substr(2) + " "))
          << "fish: " << title;
      const auto name = "\n_" + std::regex_replace(title, std::regex(" "), "_") + "() {";
      const auto start = scripts["zsh"].find(name);
      ASSERT_NE(start, std::string::npos) << name;
      EXPECT_THAT(scripts["zsh"].substr(start, scripts["zsh"].find("\n}\n", start) - start), HasSubstr(flag)) << title;
    }

    if (path.empty()) continue;
    const auto text = section(reference, title);
    ASSERT_FALSE(text.empty()) << "docs/commands.md has no section " << title;
    std::istringstream lines(text);
    std::string rows;
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("| `")) rows += line.substr(0, line.find('|', 1)) + "\n";
    EXPECT_EQ(flags_in(rows), flags) << "docs/commands.md, " << title;
  }
}

TEST(CommandsReference, NamesEveryEnvironmentVariableOfMfis) {
  const auto reference = docs("commands.md"), help = run_program({"--help"}).out;
  std::set<std::string> read;
  const std::regex call("(?:getenv|environment)\\(\"(MFI_[A-Z_]+|[A-Z]+_CACHE_HOME|OMP_NUM_THREADS)\"");
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(MFI_SOURCE_DIR) / "mfi")) {
    if (entry.path().extension() != ".cpp" || entry.path().stem().string().ends_with("_test")) continue;
    const auto text = file_text(entry.path());
    for (std::sregex_iterator it(text.begin(), text.end(), call), end; it != end; ++it) read.insert((*it)[1]);
  }
  EXPECT_GE(read.size(), 5u);
  for (const auto& name : read) {
    EXPECT_THAT(reference, HasSubstr("| `" + name + "`"));
    EXPECT_THAT(help, HasSubstr("\n  " + name + " "));
  }
}

TEST(Explain, ListsTheCodesAndPrintsTheSectionOfOne) {
  const auto list = run_program({"explain"}).out;
  for (const auto& fact : command_table()["exit_codes"])
    EXPECT_TRUE(std::regex_search(list, std::regex("(^|\n)" + std::to_string(fact["code"].get<int>()) + " +" +
                                                   fact["name"].get<std::string>() + " ")));
  const auto section = run_program({"explain", "75"}).out;
  EXPECT_THAT(section, StartsWith("75 busy\n"));
  EXPECT_EQ(run_program({"explain", "busy"}).out, section);
  EXPECT_THAT(run_program({"explain", "mfi: runs/x: in use by process 1 on node1; wait"}).out,
              StartsWith("75 busy\n\nin use by\n"));
}

TEST(Explain, SaysWhenItDoesNotKnow) {
  expect_failure(run_program({"explain", "bussy"}), ExitCode::usage, "did you mean busy?");
  expect_failure(run_program({"explain", "1"}), ExitCode::usage, "'mfi explain' lists the codes");
}

}  // namespace
}  // namespace mfi
