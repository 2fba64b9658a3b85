#include "mfi/report/report_page.h"

#include <gmock/gmock.h>

#include <cmath>

#include "mfi/report/made_up_run.h"
#include "mfi/report/well_formed.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kHostile = "<img src=x onerror=alert(1)> & \"quoted\" 'single' ]]> \xFF";

RunReport whole_report(int64_t classes = 10) {
  RunReport out;
  out.results = made_up_run();
  out.results.steps[1].details = {
      {"stage1_error_1step", 0.25},           {"stage1_error_2steps", 0.125},          {"stage1_swap_in_percent", 81.5},
      {"stage1_swap_in_1step_percent", 81.5}, {"stage1_swap_in_2steps_percent", 82.5}, {"stage2_error_2steps", 0.5},
      {"stage2_swap_in_percent", 70},         {"stage2_swap_in_2steps_percent", 70},   {"teacher_percent", 91}};
  out.results.steps.push_back(made_up_control("no-mapping", 90.5));
  out.parts = {{"stem", "3x3 convolution", "3x3 convolution", {"stem", 400, 4000}, {"stem", 400, 4000}},
               {"stage1", "4 basic blocks", "flow: 1 module", {"stage1", 1000, 9000}, {"stage1", 250, 3000}}};
  out.latency = MeasuredLatency{{1.0, 4.0}, {1.0, 2.0}, 1, "a processor, 2 threads"};
  out.curves = {{"teacher",
                 "the network to make smaller",
                 {{{"epoch", 1}, {"loss", 2.5}, {"train_percent", 30}, {"validation_top1_percent", 35}},
                  {{"epoch", 2}, {"loss", std::nan("")}, {"train_percent", 50}, {"validation_top1_percent", 45}}},
                 ""},
                {"map", "mapped", {{{"epoch", 1}, {"stage1_loss", 0.5}, {"stage2_loss", 0.25}}}, ""},
                {"hybrid", "the result", {}, "metrics.csv is not there"}};
  for (int64_t c = 0; c < classes; ++c) out.class_names.push_back("kind " + std::to_string(c));
  Answers teacher, hybrid;
  for (int64_t i = 0; i < 4 * classes; ++i) {
    teacher.labels.push_back(i % classes);
    teacher.classes.push_back(i % 5 == 0 ? (i + 1) % classes : i % classes);
    hybrid.classes.push_back(i % 3 == 0 ? (i + 2) % classes : i % classes);
    teacher.probabilities.push_back(0.75F);
  }
  hybrid.labels = teacher.labels;
  hybrid.probabilities = teacher.probabilities;
  out.teacher_answers = teacher;
  out.hybrid_answers = hybrid;
  out.pictures = {{0, 32, "a png"}, {3, 128, "another"}};
  out.recipe = {{"name", "\"made-up\"", "\"run\"", "Name.", true}, {"seed", "0", "0", "Seed.", false}};
  out.recipe_toml = "name = \"made-up\"\nseed = 0\n";
  return out;
}

void expect_sound(const std::string& page) {
  EXPECT_EQ(markup_problem(page), "");
  for (const char* id : {"outcome", "parts", "curves", "mapping", "size", "confusion", "disputed", "repeat"})
    EXPECT_THAT(page, HasSubstr("<section id=\"" + std::string(id) + "\""));
  for (const char* fetched : {"http://", "https://", "<script", "src=\"/", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(fetched)));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
}

TEST(ReportPage, HasEverySectionAndFetchesNothing) {
  const auto page = report_page(whole_report());
  expect_sound(page);
  EXPECT_THAT(page, Not(HasSubstr("class=\"missing\">The confusion")));
  EXPECT_THAT(page, Not(HasSubstr("class=\"missing\">A selection")));
}

SearchResults made_up_search() {
  SearchResults out;
  out.target = "params=0.3";
  out.held_out_images = 5000;
  out.teacher = {"teacher", {"all", "all"}, 100000, 9000000, 4, 0, 0, 91.5};
  out.points = {{"point-1", {"flow-h8", kHostile}, 20000, 3000000, 2, 0.5, 0.625, 80.25, 9, true, false},
                {"point-2", {"blocks-1", "all"}, 60000, 6000000, 3, 0.25, -1, 90.75, 9, true, true}};
  out.candidates = {{{"flow-h8", 500, 9000, 0.5, 0.125}, {"all", 4000, 90000, 1, 0}}, {{"all", 9000, 80000, 1, 0}}};
  return out;
}

TEST(ReportPage, ShowsASearchWhereThereWasOne) {
  auto report = whole_report();
  EXPECT_THAT(report_page(report), Not(HasSubstr("<section id=\"search\"")));
  report.search = made_up_search();
  const auto page = report_page(report);
  expect_sound(page);
  const auto section = page.substr(page.find("<section id=\"search\""));
  for (const auto* text : {"point-2", "90.75 %", "60.0 %", "chosen", "Stage 2", "0.1250", "0.6250", "params=0.3"})
    EXPECT_THAT(section, HasSubstr(text));
}

TEST(ReportPage, DrawsASearchOverItsFirstTarget) {
  auto report = whole_report();
  report.search = made_up_search();
  report.search->max_drop = 1.5;
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"", "Held-out accuracy against the number of parameters", "point-2, chosen: 90.75 at 60.0 k"},
      {"params=0.3 macs=0.5", "Held-out accuracy against the number of parameters", "point-1: 80.25 at 20.0 k"},
      {"macs=0.5 params=0.3", "Held-out accuracy against the multiply-accumulates", "point-1: 80.25 at 3.00 M"},
      {"latency=0.5", "Held-out accuracy against the time for one image", "point-1: 80.25 at 2.000 ms"}};
  for (const auto& [target, title, hover] : cases) {
    report.search->target = target;
    const auto page = report_page(report);
    expect_sound(page);
    for (const char* text : {title, hover, ">point-2, chosen<", ">point-1<", "at most 1.5 points lost"})
      EXPECT_THAT(page, HasSubstr(text)) << target;
  }
}

TEST(ReportPage, IsAFunctionOfWhatItIsGiven) { EXPECT_EQ(report_page(whole_report()), report_page(whole_report())); }

TEST(ReportPage, MarksControlsAsControls) {
  const auto page = report_page(whole_report());
  const auto group = page.find("class=\"group\">Controls");
  ASSERT_NE(group, std::string::npos);
  EXPECT_GT(page.find("<th scope=\"row\">no-mapping</th>"), group);
  EXPECT_LT(page.find("<th scope=\"row\">hybrid</th>"), group);
}

TEST(ReportPage, HasNoControlsWhereNoneWereRun) {
  auto report = whole_report();
  report.results.steps.pop_back();
  const auto page = report_page(report);
  expect_sound(page);
  EXPECT_THAT(page, Not(HasSubstr("class=\"group\">")));
}

TEST(ReportPage, HasThePicturesWithAnswersAsTheirText) {
  const auto page = report_page(whole_report());
  EXPECT_THAT(page,
              HasSubstr("src=\"data:image/png;base64,YSBwbmc=\" alt=\"Test image 0, kind 0; teacher&#39;s answer: "
                        "kind 1 (75\u00A0%), hybrid&#39;s answer: kind 2 (75\u00A0%)\" class=\"small\"/>"));
  EXPECT_THAT(page, HasSubstr("base64,YW5vdGhlcg==\" alt=\"Test image 3,"));
}

TEST(ReportPage, HasAMappingsErrorsAndSwapInsForEveryNumberOfSteps) {
  const auto page = report_page(whole_report());
  const std::string cell = "</td><td class=\"number\">";
  EXPECT_THAT(page, HasSubstr("stage1</th><td class=\"number\">0.250" + cell + "0.125" + cell + "–" + cell + "81.50 %" +
                              cell + "81.50 %" + cell + "82.50 %" + cell + "–"));
  EXPECT_THAT(page, HasSubstr("stage2</th><td class=\"number\">–" + cell + "0.500"));
}

TEST(ReportPage, ShowsWhatEachClassLost) {
  EXPECT_THAT(report_page(whole_report()), HasSubstr("What each class lost or won"));
}

TEST(ReportPage, DrawsAHundredClassesAsAMapWithTheirNumbersBehind) {
  const auto page = report_page(whole_report(100));
  expect_sound(page);
  EXPECT_THAT(page, HasSubstr("aria-label=\"Confusion matrix of the hybrid, 100 classes\""));
  EXPECT_THAT(page, HasSubstr("The most frequent confusions"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">kind 99</th>"));
}

TEST(ReportPage, EscapesEveryTextFromOutside) {
  auto report = whole_report();
  report.results.run = report.results.dataset = report.results.machine = report.results.version = kHostile;
  report.results.precision = report.results.data_fingerprint = kHostile;
  for (auto& step : report.results.steps) {
    if (step.step != "teacher" && step.step != "hybrid") step.step = kHostile;
    step.network = step.purpose = kHostile;
  }
  for (auto& curve : report.curves) curve.step = curve.purpose = kHostile;
  report.curves[2].missing = kHostile;
  for (auto& name : report.class_names) name = kHostile;
  for (auto& part : report.parts) part.name = part.teacher_is = part.hybrid_is = kHostile;
  report.latency->machine = kHostile;
  report.steps_to_do = {kHostile};
  report.recipe[0] = {kHostile, kHostile, kHostile, kHostile, true};
  report.recipe_toml = kHostile;
  const auto page = report_page(report);
  expect_sound(page);
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
}

TEST(ReportPage, SaysWhatIsMissingAndWhy) {
  auto report = whole_report();
  report.parts.clear();
  report.parts_missing = "model <gone>";
  report.curves.clear();
  report.teacher_answers.reset();
  report.hybrid_answers.reset();
  report.answers_missing = report.pictures_missing = "the step was run by an older mfi";
  report.pictures.clear();
  report.recipe_missing = "recipe.toml: gone";
  report.results.steps[1].details.clear();
  const auto page = report_page(report);
  expect_sound(page);
  EXPECT_THAT(page, HasSubstr("The comparison of the parts is missing: model &lt;gone&gt;."));
  EXPECT_THAT(page, HasSubstr("The confusion matrix is missing: the step was run by an older mfi."));
  EXPECT_THAT(page, HasSubstr("The recipe is missing: recipe.toml: gone."));
  EXPECT_THAT(page, HasSubstr("The mapping is missing: "));
}

TEST(ReportPage, CountsTheAnswersWithoutTheDatasetToo) {
  auto report = whole_report();
  report.pictures.clear();
  report.pictures_missing = "no data folder";
  const auto page = report_page(report);
  expect_sound(page);
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">only the teacher</th>"));
  EXPECT_THAT(page, HasSubstr("A selection of them is missing: no data folder."));
}

TEST(ReportPage, SaysWhyThereIsNoLatencyButStillComparesTheParts) {
  auto report = whole_report();
  report.latency.reset();
  report.latency_missing = "the machine was busy";
  const auto page = report_page(report);
  expect_sound(page);
  EXPECT_THAT(page, HasSubstr("Latency is missing: the machine was busy."));
  EXPECT_THAT(page, HasSubstr("25.0 %"));  // stage1's parameters
}

TEST(ReportPage, OfARunWithoutAnyStepStillHasEverySection) {
  RunReport report;
  report.results.run = "empty";
  report.parts_missing = report.answers_missing = report.pictures_missing = "nothing is done yet";
  expect_sound(report_page(report));
}

// Runs of programs before there were swap-ins for 1, 2 and 4 steps.
TEST(ReportPage, OfAnOlderMappingHasTheOneAccuracyThatItKnows) {
  auto report = whole_report();
  report.results.steps[1].details = {{"stage1_error_1step", 0.25}, {"stage1_swap_in_percent", 81.5}};
  const auto page = report_page(report);
  expect_sound(page);
  EXPECT_THAT(page, HasSubstr("81.50 %"));
  EXPECT_THAT(page, HasSubstr("The accuracy for 1, 2 and 4 steps is missing: "));
}

// A damaged file must not ask for a matrix of such a size.
TEST(ReportPage, RefusesAMatrixOfAbsurdlyManyClasses) {
  auto report = whole_report();
  report.class_names.clear();
  report.hybrid_answers->classes[0] = int64_t{1} << 50;
  const auto page = report_page(report);
  expect_sound(page);
  EXPECT_THAT(page, HasSubstr("The confusion matrix is missing: "));
}

}  // namespace
}  // namespace mfi
