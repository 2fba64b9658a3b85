#include "mfi/report/svg_chart.h"

#include <gmock/gmock.h>

#include <cmath>
#include <regex>

#include "mfi/report/svg_scatter.h"
#include "mfi/report/well_formed.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

const double kNan = std::nan("");

size_t count(const std::string& text, const std::string& part) {
  size_t out = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
  return out;
}

LineChart chart(std::vector<ChartSeries> series) { return {"A <title>", "epoch", "loss", std::move(series), {}}; }

// No coordinate that a browser would refuse.
void expect_sound(const std::string& svg) {
  EXPECT_EQ(markup_problem(svg), "");
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(LineChart, IsAnImageWithAName) {
  const auto svg = line_chart(chart({{"one", {{1, 2}, {2, 3}}}}));
  expect_sound(svg);
  EXPECT_THAT(svg, HasSubstr("role=\"img\" aria-label=\"A &lt;title&gt;\""));
}

TEST(LineChart, SaysWhenThereIsNothingToDraw) {
  for (const auto& empty : {chart({}), chart({{"one", {}}}), chart({{"one", {{1, kNan}}}})}) {
    const auto svg = line_chart(empty);
    expect_sound(svg);
    EXPECT_THAT(svg, HasSubstr("nothing to draw"));
  }
}

TEST(LineChart, MarksASinglePoint) {
  const auto svg = line_chart(chart({{"one", {{1, 0.5}}}}));
  expect_sound(svg);
  EXPECT_EQ(count(svg, "class=\"mark s0\""), 1);
}

// In a metrics.csv that somebody else wrote.
TEST(LineChart, DrawsEpochsThatAreNoWholeNumbers) {
  for (const double last : {0.4, 1.2, 2.5, 3.5}) {
    const auto svg = line_chart(chart({{"one", {{0.2, 2}, {last, 3}}}}));
    expect_sound(svg);
    EXPECT_THAT(svg, Not(HasSubstr("\"-"))) << "nothing is drawn left of it all";
  }
}

TEST(LineChart, IsInterruptedWhereThereIsNoNumber) {
  const auto svg = line_chart(chart({{"one", {{1, 1}, {2, 2}, {3, kNan}, {4, 4}, {5, 5}}}}));
  expect_sound(svg);
  std::smatch path;
  ASSERT_TRUE(std::regex_search(svg, path, std::regex("<path d=\"([^\"]*)\" class=\"line s0\"")));
  EXPECT_EQ(count(path[1], "M"), 2);
  EXPECT_EQ(count(path[1], "L"), 2);
}

TEST(LineChart, HasALegendOnlyWhereThereIsMoreThanOneLine) {
  EXPECT_THAT(line_chart(chart({{"alone", {{1, 1}, {2, 2}}}})), Not(HasSubstr(">alone<")));
  const auto two = line_chart(chart({{"one", {{1, 1}, {2, 2}}}, {"two", {{1, 3}, {2, 1}}}}));
  EXPECT_THAT(two, HasSubstr(">one<"));
  EXPECT_THAT(two, HasSubstr(">two<"));
}

TEST(LineChart, DoesNotDrawAMarkForEachOfManyEpochs) {
  ChartSeries series{"one", {}};
  for (int epoch = 1; epoch <= 1000; ++epoch) series.points.emplace_back(epoch, 1.0 / epoch);
  const auto svg = line_chart(chart({series}));
  expect_sound(svg);
  EXPECT_LE(count(svg, "class=\"mark"), 14);
}

TEST(BarChart, GivesZeroAndNoNumberABarOfNoLength) {
  const auto svg =
      bar_chart({"bars", {"teacher", "hybrid"}, {{"stage1", {10, 0}, {"10", "0"}}, {"<x>", {kNan, 5}, {"?", "5"}}}});
  expect_sound(svg);
  EXPECT_EQ(count(svg, "<rect"), 2 + 4);
  EXPECT_THAT(bar_chart({"bars", {"teacher"}, {}}), HasSubstr("nothing to draw"));
}

TEST(HeatLevel, RisesWithTheShareOfTheRow) {
  EXPECT_EQ(heat_level(0, 100), 0);
  EXPECT_EQ(heat_level(1, 100), 1);
  EXPECT_EQ(heat_level(2, 100), 2);
  EXPECT_EQ(heat_level(50, 100), 6);
  EXPECT_EQ(heat_level(100, 100), 7);
  EXPECT_EQ(heat_level(1, 0), 0);
}

TEST(HeatMap, DrawsAHundredClassesInAFewElements) {
  std::vector<std::vector<int64_t>> counts(100, std::vector<int64_t>(100));
  for (size_t row = 0; row < 100; ++row) {
    counts[row][row] = 70;
    for (size_t k = 1; k <= 10; ++k) counts[row][(row + 7 * k) % 100] = static_cast<int64_t>(k);
  }
  const auto svg = heat_map({"map", "true class", "answer", counts});
  expect_sound(svg);
  EXPECT_LE(count(svg, "<path"), 14);
  EXPECT_EQ(count(svg, "h1v1h-1z"), 100 * 11);
}

ScatterChart scatter(std::vector<ScatterPoint> points) { return {"points", "parameters", "%", std::move(points), {}}; }

TEST(ScatterChart, LivesWithNoPointOnePointAndNoNumber) {
  EXPECT_THAT(scatter_chart(scatter({})), HasSubstr("nothing to draw"));
  EXPECT_THAT(scatter_chart(scatter({{"a", kNan, 1}})), HasSubstr("nothing to draw"));
  const auto one = scatter_chart(scatter({{"<lonely>", 1e6, 90, 0.5}}));
  expect_sound(one);
  EXPECT_THAT(one, HasSubstr("&lt;lonely&gt;"));
}

TEST(ScatterChart, NamesEveryOfManyPointsInTheSamePlace) {
  std::vector<ScatterPoint> points;
  for (int i = 0; i < 20; ++i) points.push_back({"hybrid " + std::to_string(i), 1e6, 90});
  const auto svg = scatter_chart(scatter(points));
  expect_sound(svg);
  EXPECT_EQ(count(svg, "class=\"label\""), 20);
  EXPECT_GT(count(svg, "class=\"leader\""), 5);
}

TEST(PlaceLabels, CoverNeitherEachOtherNorAPoint) {
  std::vector<std::pair<double, double>> points;
  std::vector<double> widths;
  for (int i = 0; i < 30; ++i) {
    points.emplace_back(100 + i % 3, 100 + 2 * (i % 5));
    widths.push_back(40 + i);
  }
  const ChartBox area{0, 0, 360, 320};
  const auto boxes = place_labels(points, widths, 13, area);
  ASSERT_EQ(boxes.size(), points.size());
  for (size_t i = 0; i < boxes.size(); ++i) {
    ASSERT_GT(boxes[i].right, 0) << i;
    EXPECT_GE(boxes[i].left, area.left);
    EXPECT_LE(boxes[i].right, area.right);
    for (size_t k = 0; k < i; ++k) EXPECT_FALSE(boxes[i].overlaps(boxes[k])) << i << " " << k;
    for (const auto& [x, y] : points) EXPECT_FALSE(boxes[i].overlaps({x - 3, y - 3, x + 3, y + 3})) << i;
  }
}

TEST(PlaceLabels, KeepOffObstacles) {
  const ChartBox line{99, 0, 101, 320};
  const auto boxes = place_labels({{100, 100}}, {60}, 13, {0, 0, 360, 320}, {line});
  EXPECT_GT(boxes[0].right, 0);
  EXPECT_FALSE(boxes[0].overlaps(line));
}

TEST(PlaceLabels, GiveUpWhereThereIsNoRoom) {
  EXPECT_EQ(place_labels({{5, 5}}, {100}, 13, {0, 0, 20, 20})[0].right, 0);
}

}  // namespace
}  // namespace mfi
