// Completions as the shells make them, and manual pages as man(1) sees them. Bash is always there; the others' tests
// skip where there is no such program.
#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "mfi/cli/program.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::UnorderedElementsAre;

// What a shell command prints, standard error too, and its exit code.
std::pair<std::string, int> shell(const std::string& command) {
  FILE* pipe = popen(("{ " + command + "\n} 2>&1 </dev/null").c_str(), "r");
  std::string out;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  return {out, WEXITSTATUS(pclose(pipe))};
}

bool there_is(const std::string& program) { return shell("command -v " + program).second == 0; }

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream lines(text);
  std::vector<std::string> out;
  for (std::string line; std::getline(lines, line);) out.push_back(line);
  return out;
}

class Completion : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a.toml", "b.safetensors", "c.txt"}) std::ofstream(folder_.path() / name) << "";
    fs::create_directory(folder_.path() / "folder");
    fs::copy_file(fs::path(MFI_SOURCE_DIR) / "recipes/sample.toml", folder_.path() / "sample.toml");
    for (const char* name : {"bash", "zsh", "fish"}) {
      const auto ended = run_program({"completion", name});
      ASSERT_EQ(ended.exit_code, 0) << ended.error;
      std::ofstream(script(name)) << ended.out;
    }
  }
  std::string script(const std::string& shell) const { return (folder_.path() / ("completion." + shell)).string(); }
  std::string in_folder() const { return "cd " + quoted(folder_.path().string()) + "; "; }

  // What bash offers at the end of this line, which begins behind the program's name. Bash itself cuts words at "=".
  std::vector<std::string> bash(const std::string& line) const {
    std::vector<std::string> words{MFI_PROGRAM};
    std::istringstream typed(line);
    for (std::string word; typed >> word;) {
      for (size_t at; (at = word.find('=')) != std::string::npos; word = word.substr(at + 1)) {
        if (at > 0) words.push_back(word.substr(0, at));
        words.push_back("=");
      }
      if (!word.empty()) words.push_back(word);
    }
    if (line.empty() || line.ends_with(' ')) words.emplace_back();
    std::string code = in_folder() + "source " + quoted(script("bash")) + "\nCOMP_WORDS=(";
    for (const auto& word : words) code += quoted(word) + " ";
    code += ")\nCOMP_CWORD=" + std::to_string(words.size() - 1) +
            "\n_mfi\nfor reply in \"${COMPREPLY[@]}\"; do echo \"$reply\"; done";
    std::ofstream(folder_.path() / "run.sh") << code;
    const auto out = shell("bash --norc --noprofile " + quoted((folder_.path() / "run.sh").string())).first;
    fs::remove(folder_.path() / "run.sh");
    return lines_of(out);
  }

  // The same of fish, without its descriptions.
  std::vector<std::string> fish(const std::string& line) const {
    const auto path = "set -x PATH " + quoted(fs::path(MFI_PROGRAM).parent_path().string()) + " $PATH; ";
    const auto code =
        path + in_folder() + "source " + quoted(script("fish")) + "; complete -C " + quoted("mfi " + line);
    auto out =
        lines_of(shell("HOME=" + quoted(folder_.path().string()) + " fish --no-config -c " + quoted(code)).first);
    for (auto& each : out) each = each.substr(0, each.find('\t'));
    return out;
  }

  // The line as zsh completes it at a press of the tab key.
  std::string zsh(const std::string& line) const {
    const auto file = folder_.path() / "run.zsh";
    std::ofstream(file) << "zmodload zsh/zpty\nexport PATH=" << fs::path(MFI_PROGRAM).parent_path().string()
                        << ":$PATH TERM=dumb\nzpty session zsh -f -i\n"
                        << R"zsh(
answer() { local text; zpty -r -m session text "*$1*"; print -r -- "$text" }
zpty -w session 'PS1=; PS2=; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; source )zsh"
                        << script("zsh") << R"zsh('
zpty -w session 'show() { print -r -- "<$BUFFER>" }; zle -N show; bindkey "^X" show; bindkey "^I" complete-word'
zpty -w session 'print rea""dy'
answer ready >/dev/null
zpty -w -n session "$1"$'\t\x18'
answer '<*>'
zpty -d session
)zsh";
    const auto out =
        shell(in_folder() + "timeout 60 zsh -f " + quoted(file.string()) + " " + quoted("mfi " + line)).first;
    const auto end = out.rfind('>'), begin = out.rfind('<', end);
    if (end == std::string::npos || begin == std::string::npos) return out;
    return out.substr(begin + 1, end - begin - 1);
  }

  TemporaryFolder folder_;
};

TEST_F(Completion, OfBashKnowsCommands) {
  EXPECT_THAT(bash("ru"), ElementsAre("run"));
  EXPECT_THAT(bash(""), IsSupersetOf({"run", "plan", "data", "completion"}));
  EXPECT_THAT(bash("data "), ElementsAre("get", "list"));
  EXPECT_THAT(bash("data get "), ElementsAre("cifar-10", "cifar-100"));
}

TEST_F(Completion, OfBashKnowsFlagsOfTheCommand) {
  EXPECT_THAT(bash("run --o"), UnorderedElementsAre("--out", "--only", "--on-nonfinite"));
  EXPECT_THAT(bash("plan --no"), ElementsAre("--no-probe"));
  EXPECT_THAT(bash("data get --i"), ElementsAre("--into"));
  EXPECT_THAT(bash("run a.toml --data x --f"), ElementsAre("--force"));
}

TEST_F(Completion, OfBashKnowsValuesOfFixedSets) {
  EXPECT_THAT(bash("run --progress p"), ElementsAre("plain"));
  EXPECT_THAT(bash("run --progress=p"), ElementsAre("plain"));
  EXPECT_THAT(bash("run --progress="), IsSupersetOf({"auto", "json"}));
  EXPECT_THAT(bash("export --precision "), ElementsAre("fp32", "fp16", "int8"));
}

TEST_F(Completion, OfBashKnowsRecipeKeysAndTheirValues) {
  EXPECT_THAT(bash("run a.toml --set teacher.epo"), ElementsAre("teacher.epochs="));
  EXPECT_THAT(bash("run a.toml --set runtime.precision="), UnorderedElementsAre("bf16", "fp32"));
  EXPECT_THAT(bash("run a.toml --set controls.no_mapping=t"), ElementsAre("true"));
  EXPECT_THAT(bash("run a.toml --set=runtime.precision=f"), ElementsAre("fp32"));
}

TEST_F(Completion, OfBashKnowsTheStepsOfTheRecipeOnTheLine) {
  EXPECT_THAT(bash("run sample.toml --only inc"), ElementsAre("incubate-1", "incubate-2"));
  EXPECT_THAT(bash("run sample.toml --force teacher --force m"), ElementsAre("map", "meta"));
  EXPECT_THAT(bash("run --only inc"), IsEmpty());
}

TEST_F(Completion, OfBashOffersFilesByWhatIsWanted) {
  EXPECT_THAT(bash("run "), UnorderedElementsAre("a.toml", "sample.toml", "folder"));
  EXPECT_THAT(bash("eval "), UnorderedElementsAre("b.safetensors", "folder"));
  EXPECT_THAT(bash("run --out "), ElementsAre("folder"));
  EXPECT_THAT(bash("predict b.safetensors c.txt c"), Contains("c.txt"));
  EXPECT_THAT(bash("run --jobs "), IsEmpty());
}

TEST_F(Completion, OfFishKnowsWhatBashKnows) {
  if (!there_is("fish")) GTEST_SKIP() << "no fish";
  EXPECT_THAT(fish("ru"), ElementsAre("run"));
  EXPECT_THAT(fish("data "), IsSupersetOf({"get", "list"}));
  EXPECT_THAT(fish("data get c"), UnorderedElementsAre("cifar-10", "cifar-100"));
  EXPECT_THAT(fish("run --o"), UnorderedElementsAre("--out", "--only", "--on-nonfinite"));
  EXPECT_THAT(fish("run --progress p"), ElementsAre("plain"));
  EXPECT_THAT(fish("run a.toml --set teacher.epo"), ElementsAre("teacher.epochs="));
  EXPECT_THAT(fish("run a.toml --set controls.no_mapping=t"), ElementsAre("controls.no_mapping=true"));
  EXPECT_THAT(fish("run sample.toml --only inc"), ElementsAre("incubate-1", "incubate-2"));
  EXPECT_THAT(fish("run s"), Contains("sample.toml"));
  EXPECT_THAT(fish("eval b"), Contains("b.safetensors"));
  EXPECT_THAT(fish("run --out f"), ElementsAre("folder/"));
}

TEST_F(Completion, OfZshKnowsWhatBashKnows) {
  if (!there_is("zsh")) GTEST_SKIP() << "no zsh";
  EXPECT_EQ(shell("zsh -n " + quoted(script("zsh"))), std::make_pair(std::string(), 0));
  EXPECT_EQ(zsh("ru"), "mfi run ");
  EXPECT_EQ(zsh("data g"), "mfi data get ");
  EXPECT_EQ(zsh("run --dat"), "mfi run --data=");
  EXPECT_EQ(zsh("run --progress pl"), "mfi run --progress plain ");
  EXPECT_EQ(zsh("run a.toml --set teacher.epo"), "mfi run a.toml --set teacher.epochs=");
  EXPECT_EQ(zsh("run a.toml --set controls.no_mapping=t"), "mfi run a.toml --set controls.no_mapping=true ");
  EXPECT_EQ(zsh("run sample.toml --only incubate-2"), "mfi run sample.toml --only incubate-2 ");
  EXPECT_EQ(zsh("run sample.toml --only hyb"), "mfi run sample.toml --only hybrid ");
  EXPECT_EQ(zsh("run sam"), "mfi run sample.toml ");
  EXPECT_EQ(zsh("eval b"), "mfi eval b.safetensors ");
}

TEST(ManPages, AreWrittenForEveryCommand) {
  TemporaryFolder folder;
  EXPECT_EQ(run_program({"man", "--into", folder.path() / "man1"}).exit_code, 0);
  const auto table = nlohmann::json::parse(run_program({"completion", "json"}).out);
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder.path() / "man1")) files += entry.path().extension() == ".1";
  EXPECT_EQ(files, table["commands"].size());
  EXPECT_EQ(file_text(folder.path() / "man1/mfi-data-get.1"), run_program({"man", "data", "get"}).out);
}

TEST(ManPages, NameTheNearestCommand) {
  const auto ended = run_program({"man", "rum"});
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::usage));
  EXPECT_THAT(ended.error, HasSubstr("no manual page of 'mfi rum'; did you mean run?"));
}

// Every formatter that is there reads every page without a complaint.
TEST(ManPages, AreSound) {
  const std::vector<std::pair<std::string, std::string>> formatters{
      {"man", "LC_ALL=C.UTF-8 MANROFFSEQ= man --warnings -E UTF-8 -l -Tutf8 -Z "},
      {"groff", "groff -man -ww -Tutf8 -z "},
      {"mandoc", "mandoc -T lint -W warning "}};
  TemporaryFolder folder;
  ASSERT_EQ(run_program({"man", "--into", folder.path()}).exit_code, 0);
  bool any = false;
  for (const auto& [name, command] : formatters) {
    if (!there_is(name)) continue;
    any = true;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      auto [out, code] = shell(command + quoted(entry.path().string()) + (name == "man" ? " >/dev/null" : ""));
      std::string complaints;
      for (const auto& line : lines_of(out))
        if (line.find("missing date") == std::string::npos) complaints += line + "\n";  // it has none, on purpose
      EXPECT_THAT(complaints, IsEmpty()) << name << " on " << entry.path();
    }
  }
  if (!any) GTEST_SKIP() << "none of man, groff and mandoc is there";
}

}  // namespace
}  // namespace mfi
