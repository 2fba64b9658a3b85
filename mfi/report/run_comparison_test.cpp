#include "mfi/report/run_comparison.h"

#include <gmock/gmock.h>

#include "mfi/report/made_up_run.h"
#include "mfi/report/well_formed.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<ComparedRun> two_runs() {
  ComparedRun one{
      "one",
      made_up_run(),
      {{"name", "one", "run", "", true}, {"seed", "0", "0", "", false}, {"hybrid.epochs", "6", "6", "", false}},
      ""};
  auto other = one;
  other.name = "another";
  other.recipe[0].value = "another";
  other.recipe[2].value = "8";
  other.results.steps[3].test_top1_percent = 90;
  other.results.steps.push_back(made_up_control("no-mapping", 89.5));
  return {one, other};
}

TEST(RecipeDifferences, AreTheKeysThatDifferButForTheName) {
  const auto differences = recipe_differences(two_runs());
  ASSERT_EQ(differences.size(), 1);
  EXPECT_EQ(differences[0].key, "hybrid.epochs");
  EXPECT_EQ(differences[0].values, (std::vector<std::string>{"6", "8"}));
}

TEST(RecipeDifferences, DoNotCountARecipeThatIsMissing) {
  auto runs = two_runs();
  runs[1].recipe.clear();
  EXPECT_THAT(recipe_differences(runs), IsEmpty());
}

TEST(ComparisonText, HoldsEachNetworkAgainstItsOwnTeacher) {
  const auto text = comparison_text(two_runs());
  EXPECT_THAT(text, HasSubstr("one      teacher"));
  EXPECT_THAT(text, HasSubstr("91.20 %       +0.20\n"));
  EXPECT_THAT(text, HasSubstr("90.00 %       -1.00\n"));
  EXPECT_THAT(text, HasSubstr("another  no-mapping"));
  EXPECT_THAT(text, HasSubstr("58.0 %"));
  EXPECT_THAT(text, HasSubstr("hybrid.epochs  6    8\n"));
  EXPECT_THAT(text, Not(HasSubstr("hidden away")));
  for (const char c : text) ASSERT_GE(c, 0) << "not ASCII";
}

TEST(ComparisonText, SaysWhenTheRecipesAreTheSame) {
  auto runs = two_runs();
  runs[1].recipe[2].value = "6";
  EXPECT_THAT(comparison_text(runs), HasSubstr("The recipes differ in no key but their names."));
}

TEST(ComparisonText, HasARowForARunThatHasJustBegun) {
  auto runs = two_runs();
  runs[0].results.steps.clear();
  runs[0].recipe_missing = "one/recipe.toml: gone";
  const auto text = comparison_text(runs);
  EXPECT_THAT(text, HasSubstr("(no step is done)"));
  EXPECT_THAT(text, HasSubstr("The recipe of one is missing: one/recipe.toml: gone"));
}

TEST(ComparisonPage, IsWellFormedAndEscapesNames) {
  auto runs = two_runs();
  runs[0].name = "<script>alert(1)</script>";
  runs[0].recipe[2].value = "<&\">";
  const auto page = comparison_page(runs);
  EXPECT_EQ(markup_problem(page), "");
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("http")));
  for (const char* id : {"networks", "size", "recipes"})
    EXPECT_THAT(page, HasSubstr("<section id=\"" + std::string(id) + "\""));
  EXPECT_THAT(page, HasSubstr(">hybrid B</text>"));
  EXPECT_THAT(page, HasSubstr("no-mapping (control)"));
}

TEST(ComparisonPage, HoldsMoreRunsThanThereAreMarks) {
  std::vector<ComparedRun> runs;
  for (int i = 0; i < 30; ++i) {
    runs.push_back(two_runs()[1]);
    runs.back().name = "run " + std::to_string(i);
  }
  EXPECT_EQ(markup_problem(comparison_page(runs)), "");
}

}  // namespace
}  // namespace mfi
