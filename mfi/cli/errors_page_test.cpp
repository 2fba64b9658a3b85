// docs/errors.md has a place for every exit code and every kind of error, and `mfi explain` finds it.
#include "mfi/cli/errors_page.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "mfi/cli/help_facts.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string file_text(const fs::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

TEST(ErrorsPage, IsThatOfTheSource) {
  EXPECT_EQ(errors_page(), "\n" + file_text(fs::path(MFI_SOURCE_DIR) / "docs/errors.md"));
}

TEST(ErrorsPage, IsPlainTextOfEightyColumnsAtATerminal) {
  const auto text = errors_page_section(ExitCode::checkpoint, "checkpoint");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("    ")) {
      EXPECT_LE(line.size(), 80u) << line;
    }  // an example stays one line
  for (const char* mark : {"`", "](", "##"}) EXPECT_THAT(text, Not(HasSubstr(mark)));
  EXPECT_THAT(text, Not(HasSubstr("130")));
}

TEST(ErrorsPage, HasNothingOnMessagesThatItDoesNotHave) { EXPECT_EQ(errors_page_message("mfi: hello"), ""); }

// Kinds of errors as the code throws them, and the exit codes that core/error.h gives them.
std::map<std::string, std::string> kinds_of_errors() {
  const auto text = file_text(fs::path(MFI_SOURCE_DIR) / "mfi/core/error.h");
  std::map<std::string, std::string> out;
  const std::regex alias("using ([A-Za-z]+) = CodedError<ExitCode::([a-z_]+)>;");
  for (std::sregex_iterator it(text.begin(), text.end(), alias), end; it != end; ++it) out[(*it)[1]] = (*it)[2];
  return out;
}

TEST(ErrorsReference, HasASectionForEveryExitCode) {
  const auto page = file_text(fs::path(MFI_SOURCE_DIR) / "docs/errors.md");
  const auto header = file_text(fs::path(MFI_SOURCE_DIR) / "mfi/core/error.h");
  std::map<std::string, std::string> known;
  const std::regex enumerator("\n  ([a-z_]+) = ([0-9]+),");
  for (std::sregex_iterator it(header.begin(), header.end(), enumerator), end; it != end; ++it)
    known[(*it)[1]] = (*it)[2];
  EXPECT_GE(known.size(), 14u);
  ASSERT_EQ(known.size(), exit_code_facts().size());
  for (const auto& fact : exit_code_facts()) {
    const std::string name = fact.name, code = std::to_string(static_cast<int>(fact.code));
    EXPECT_EQ(known[name], code);
    EXPECT_THAT(page, HasSubstr("\n| " + code + " | [" + name + "](#" + code + "-" + name + ") | "));
    EXPECT_THAT(page, HasSubstr("\n## " + code + " " + name + "\n\n"));
    EXPECT_THAT(errors_page_section(fact.code, name), StartsWith(code + " " + name + "\n\n"));
  }
}

TEST(ErrorsReference, HasASectionForEveryKindThatIsThrown) {
  const auto kinds = kinds_of_errors();
  const auto page = file_text(fs::path(MFI_SOURCE_DIR) / "docs/errors.md");
  std::set<std::string> thrown;
  const std::regex expression("throw ([A-Za-z]+Error)\\(");
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(MFI_SOURCE_DIR) / "mfi")) {
    if (entry.path().extension() != ".cpp" && entry.path().extension() != ".h") continue;
    const auto text = file_text(entry.path());
    for (std::sregex_iterator it(text.begin(), text.end(), expression), end; it != end; ++it) thrown.insert((*it)[1]);
  }
  thrown.erase("PeerError");       // carries the code of what has ended the other process
  thrown.erase("NotFiniteError");  // a DivergedError
  EXPECT_GE(thrown.size(), 9u);
  for (const auto& kind : thrown) {
    ASSERT_TRUE(kinds.count(kind)) << kind << " has no exit code in core/error.h";
    EXPECT_TRUE(std::regex_search(page, std::regex("\n## [0-9]+ " + kinds.at(kind) + "\n"))) << kind;
  }
}

// Each "### `PART`" is a part of a message that the code has, and of the example under it.
TEST(ErrorsReference, ShowsMessagesThatTheCodeHas) {
  std::string code;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(MFI_SOURCE_DIR) / "mfi"))
    if (entry.path().extension() == ".cpp" && !entry.path().stem().string().ends_with("_test"))
      code += file_text(entry.path());
  const auto page = file_text(fs::path(MFI_SOURCE_DIR) / "docs/errors.md");
  const std::regex part("\n### `([^`]+)`\n\n    (mfi: [^\n]+)\n");
  int count = 0;
  for (std::sregex_iterator it(page.begin(), page.end(), part), end; it != end; ++it, ++count) {
    const std::string text = (*it)[1], example = (*it)[2];
    EXPECT_NE(example.find(text), std::string::npos) << text << " is not in its example";
    // "is required" is CLI11's.
    if (text != "is required") {
      EXPECT_NE(code.find(text), std::string::npos) << text;
    }
    EXPECT_THAT(errors_page_message(example), HasSubstr("\n" + text + "\n"));
  }
  int headings = 0;
  for (size_t at = 0; (at = page.find("\n### ", at)) != std::string::npos; ++at) ++headings;
  EXPECT_EQ(count, headings) << "a heading without an example";
  EXPECT_GT(count, 25);
}

}  // namespace
}  // namespace mfi
