// The table of a made-up program: what is read off CLI11, and what help and manual pages make of it.
#include <gmock/gmock.h>

#include <sstream>

#include "mfi/cli/help_facts.h"
#include "mfi/cli/help_text.h"
#include "mfi/cli/made_up_program.h"
#include "mfi/cli/man_page.h"

namespace mfi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(CommandTable, KnowsChoicesKindsAndWhatIsRequired) {
  MadeUpProgram program;
  const auto table = command_table(program.app);
  ASSERT_EQ(table.commands.size(), 2u);
  const auto& cook = *table.find("cook");
  EXPECT_EQ(cook.spoken(), "mfi cook");
  const auto* heat = cook.find_flag("--heat");
  ASSERT_TRUE(heat);
  EXPECT_THAT(heat->choices, ElementsAre("low", "medium", "high"));
  EXPECT_EQ(heat->kind, ValueKind::choice);
  EXPECT_EQ(heat->value, "TEXT");
  EXPECT_EQ(cook.find_flag("--no-salt"), cook.find_flag("--salt"));
  EXPECT_TRUE(cook.find_flag("--salt")->is_switch());
  EXPECT_EQ(cook.find_flag("--into")->kind, ValueKind::folder);
  EXPECT_TRUE(cook.find_flag("--into")->required);
  EXPECT_TRUE(cook.find_flag("--herb")->repeats);
  EXPECT_EQ(cook.find_flag("--minutes")->value, "N");
  EXPECT_EQ(cook.find_flag("--help"), nullptr);
  ASSERT_EQ(cook.arguments().size(), 1u);
  EXPECT_EQ(cook.arguments()[0].kind, ValueKind::recipe);
}

TEST(CommandTable, LeavesOutHiddenCommands) {
  MadeUpProgram program;
  program.app.add_subcommand("secret", "")->group("");
  EXPECT_EQ(command_table(program.app).find("secret"), nullptr);
}

TEST(CommandTable, CutsAFooterIntoProseAndSections) {
  MadeUpProgram program;
  const auto table = command_table(program.app);
  const auto& cook = *table.find("cook");
  EXPECT_THAT(cook.notes, ElementsAre("Two lines of prose."));
  ASSERT_EQ(cook.sections.size(), 2u);
  EXPECT_THAT(cook.section("Example")->lines, ElementsAre("mfi cook soup.toml --into pot"));
  EXPECT_THAT(cook.section("Exit codes")->lines,
              ElementsAre("78   a recipe's key does not exist, or its value cannot be"));
}

TEST(HelpText, FitsIntoEightyColumns) {
  MadeUpProgram program;
  const auto root = command_table(program.app);
  for (const auto* command : all_commands(root)) {
    std::istringstream lines(help_text(*command));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(HelpText, HasUsageGroupsAndChoices) {
  MadeUpProgram program;
  const auto root = command_table(program.app);
  const auto text = help_text(*root.find("cook"));
  EXPECT_THAT(text, HasSubstr("\nUsage:\n  mfi cook RECIPE --into DIR [flags]\n"));
  EXPECT_THAT(text, HasSubstr("\nFlags:\n"));
  EXPECT_THAT(text, HasSubstr("\nSeasoning:\n  --salt, --no-salt"));
  EXPECT_THAT(text, HasSubstr("  --heat low|medium|high\n"));
  EXPECT_THAT(text, HasSubstr("not with --minutes"));
  EXPECT_THAT(help_text(root), HasSubstr("\n  cook  "));
}

TEST(Wrapped, KeepsWordsWholeAndIndentsAllLinesButTheFirst) {
  EXPECT_EQ(wrapped("aa bb cc dd", 8, 2), "aa bb\n  cc dd");
  EXPECT_EQ(wrapped("a-word-that-is-too-long b", 8, 2), "a-word-that-is-too-long\n  b");
  EXPECT_EQ(wrapped("", 8, 2), "");
}

TEST(ManPage, KeepsLettersThatAreRoffsOwn) {
  MadeUpProgram program;
  const auto root = command_table(program.app);
  const auto page = man_page(root, *root.find("cook"), "1.2");
  EXPECT_THAT(page, HasSubstr(".TH MFI\\-COOK 1 \"\" \"mfi 1.2\""));
  EXPECT_THAT(page, HasSubstr("\n\\&.salt is no command: \\e and it\\(aqs \\(titilde\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-into\\fR DIR"));
  EXPECT_EQ(man_page_file(*root.find("cook")), "mfi-cook.1");
}

TEST(CheckWords, NamesTheNearestCommandFlagAndValue) {
  EXPECT_THAT(refusal({"cok"}), HasSubstr("unknown command 'cok'; did you mean 'mfi cook'?"));
  EXPECT_THAT(refusal({"zzzzzz"}), HasSubstr("'mfi' has cook, wash"));
  EXPECT_THAT(refusal({"cook", "x.toml", "--hert", "low"}),
              HasSubstr("unknown flag --hert of 'mfi cook'; did you mean --heat?"));
  EXPECT_THAT(refusal({"cook", "x.toml", "--heat", "lwo"}),
              HasSubstr("--heat is 'lwo', expected one of low, medium, high; did you mean low?"));
  EXPECT_THAT(refusal({"cook", "x.toml", "--heat=hihg"}), HasSubstr("did you mean high?"));
  EXPECT_THAT(refusal({"wash", "forkz"}),
              HasSubstr("THING is 'forkz', expected one of forks, knives; did you mean forks?"));
}

TEST(CheckWords, TakesEverythingThatIsRight) {
  EXPECT_THAT(
      refusal({"cook", "x.toml", "--heat=high", "--no-salt", "--herb", "thyme", "--herb", "sage", "--into", "p"}),
      IsEmpty());
  EXPECT_THAT(refusal({"wash", "--", "forks"}), IsEmpty());
  EXPECT_THAT(refusal({"cook", "--help"}), IsEmpty());
  EXPECT_THAT(refusal({"--help"}), IsEmpty());
}

// A value is no argument, whatever it looks like.
TEST(CheckWords, DoesNotTakeAFlagsValueForAnArgument) {
  EXPECT_THAT(refusal({"wash", "--with", "soap", "knives"}), IsEmpty());
}

}  // namespace
}  // namespace mfi
