// What teacher and hybrid answered to the test images: confusion, and the pictures on which they disagree.
#include <algorithm>
#include <map>

#include "mfi/core/text.h"
#include "mfi/report/answer_comparison.h"
#include "mfi/report/page_parts.h"
#include "mfi/report/svg_chart.h"

namespace mfi {
namespace {

constexpr int64_t kMostInMatrix = 20;     // classes of which a table of all pairs can still be read
constexpr int64_t kMostClasses = 20'000;  // more are a damaged file: a matrix of them has no place
constexpr size_t kMostConfusions = 20, kMostLosers = 20;

std::string class_name(const RunReport& report, int64_t number) {
  const auto at = static_cast<size_t>(number);
  return number >= 0 && at < report.class_names.size() ? report.class_names[at] : "class " + std::to_string(number);
}

// Classes that a model names, or else those that are answered.
int64_t class_count(const RunReport& report) {
  int64_t out = static_cast<int64_t>(report.class_names.size());
  if (out > 0) return out;
  for (const auto* answers : {&*report.teacher_answers, &*report.hybrid_answers})
    for (const auto* numbers : {&answers->classes, &answers->labels})
      for (const auto number : *numbers) out = std::max(out, number + 1);
  return out;
}

std::string percent_of(int64_t part, int64_t whole) {
  return share_of(static_cast<double>(part), static_cast<double>(whole));
}

std::string matrix_markup(const RunReport& report, const std::vector<std::vector<int64_t>>& counts) {
  std::vector<HtmlCell> columns{{"True class ↓, answer →"}};
  for (size_t c = 0; c < counts.size(); ++c) columns.push_back({class_name(report, static_cast<int64_t>(c))});
  HtmlTable table("The hybrid's answers: test images of each class (row) by what they were taken for (column)",
                  columns);
  for (size_t row = 0; row < counts.size(); ++row) {
    int64_t all = 0;
    for (const auto count : counts[row]) all += count;
    std::vector<HtmlCell> cells{{class_name(report, static_cast<int64_t>(row))}};
    for (size_t column = 0; column < counts.size(); ++column) {
      const auto count = counts[row][column];
      HtmlCell cell{std::to_string(count)};
      if (const int level = heat_level(count, all); level > 0)
        cell.style_class = format("%s%d", row == column ? "right" : "wrong", level);
      if (row == column) cell.style_class += cell.style_class.empty() ? "own" : " own";
      cells.push_back(cell);
    }
    table.add_row(cells);
  }
  return Html().open("div", {{"class", "matrix"}}).markup(table.markup()).close().str();
}

// Each class with all that it was taken for: the numbers of a heat map that are not zero.
std::string sparse_numbers(const RunReport& report, const std::vector<std::vector<int64_t>>& counts) {
  HtmlTable table("Every class, and what the hybrid takes its images for",
                  {{"Class"}, number_cell("number"), number_cell("right"), {"taken for"}});
  for (size_t row = 0; row < counts.size(); ++row) {
    int64_t all = 0;
    std::vector<std::pair<int64_t, size_t>> others;
    for (size_t column = 0; column < counts[row].size(); ++column) {
      all += counts[row][column];
      if (row != column && counts[row][column] > 0) others.emplace_back(counts[row][column], column);
    }
    std::stable_sort(others.begin(), others.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::string> texts;
    for (const auto& [count, column] : others)
      texts.push_back(class_name(report, static_cast<int64_t>(column)) + " " + std::to_string(count));
    HtmlCell taken{join(texts, ", ")};
    taken.style_class = "long";
    table.add_row({{class_name(report, static_cast<int64_t>(row))},
                   number_cell(std::to_string(row)),
                   number_cell(std::to_string(counts[row][row]) + " of " + std::to_string(all)),
                   taken});
  }
  return table.markup();
}

std::string frequent_markup(const RunReport& report, const std::vector<std::vector<int64_t>>& counts) {
  HtmlTable table("The most frequent confusions of the hybrid", {{"True class"}, {"taken for"}, number_cell("images")});
  for (const auto& confusion : frequent_confusions(counts, kMostConfusions))
    table.add_row({{class_name(report, confusion.label)},
                   {class_name(report, confusion.answer)},
                   number_cell(grouped(confusion.count))});
  return table.markup();
}

std::string changes_markup(const RunReport& report, const std::vector<ClassChange>& changes, size_t first,
                           const std::string& caption) {
  HtmlTable table(caption, {{"Class"},
                            number_cell("images"),
                            number_cell("teacher right"),
                            number_cell("hybrid right"),
                            number_cell("difference, points")});
  for (size_t i = 0; i < std::min(first, changes.size()); ++i) {
    const auto& change = changes[i];
    const double images = static_cast<double>(change.images);
    auto points = number_cell(signed_points(100 * static_cast<double>(change.hybrid_right) / images,
                                            100 * static_cast<double>(change.teacher_right) / images));
    if (change.hybrid_right != change.teacher_right)
      points.style_class = change.hybrid_right > change.teacher_right ? "good" : "bad";
    table.add_row({{class_name(report, change.label)},
                   number_cell(grouped(change.images)),
                   number_cell(percent_of(change.teacher_right, change.images)),
                   number_cell(percent_of(change.hybrid_right, change.images)),
                   points});
  }
  return table.markup();
}

std::string agreement_markup(const Agreement& counts, size_t images) {
  const auto all = static_cast<int64_t>(images);
  HtmlTable table("Test images by who is right", {{"Right"}, number_cell("images"), number_cell("share")});
  const std::pair<const char*, int64_t> rows[] = {{"both", counts.both},
                                                  {"only the teacher", counts.only_teacher},
                                                  {"only the hybrid", counts.only_hybrid},
                                                  {"neither", counts.neither}};
  for (const auto& [name, count] : rows)
    table.add_row({{name}, number_cell(grouped(count)), number_cell(percent_of(count, all))});
  return table.markup();
}

std::string picture_markup(const RunReport& report, const DisputedPicture& picture) {
  const auto &teacher = *report.teacher_answers, &hybrid = *report.hybrid_answers;
  const auto at = static_cast<size_t>(picture.index);
  const auto answer = [&](const Answers& answers) {
    return format("%s (%.0f\u00A0%%)", class_name(report, answers.classes[at]).c_str(),
                  100 * static_cast<double>(answers.probabilities[at]));
  };
  const auto label = class_name(report, teacher.labels[at]);
  Html html;
  html.open("li");
  Html::Attributes attributes{
      {"src", "data:image/png;base64," + base64(picture.png)},
      {"alt", "Test image " + std::to_string(picture.index) + ", " + label + "; teacher's answer: " + answer(teacher) +
                  ", hybrid's answer: " + answer(hybrid)}};
  if (picture.side < 96) attributes.emplace_back("class", "small");  // pixels stay squares
  html.empty("img", attributes);
  html.element("strong", label).empty("br");
  const auto line = [&](const char* who, const Answers& answers) {
    const bool right = answers.classes[at] == answers.labels[at];
    html.text(std::string(who) + ": ");
    html.element("span", (right ? "✓ " : "✗ ") + answer(answers), {{"class", right ? "good" : "bad"}});
  };
  line("teacher", teacher);
  html.empty("br");
  line("hybrid", hybrid);
  return html.close().str();
}

}  // namespace

std::string confusion_section(const RunReport& report) {
  const std::string what = "The confusion matrix";
  if (!report.answers_missing.empty()) return missing_markup(what, report.answers_missing);
  const auto classes = class_count(report);
  if (classes <= 0 || classes > kMostClasses)
    return missing_markup(what, "the steps' answers name " + grouped(classes) + " classes");
  const auto counts = confusion_counts(*report.hybrid_answers, classes);
  const auto changes = class_changes(*report.teacher_answers, *report.hybrid_answers, classes);
  Html html;
  const std::string shades =
      "The shade is the share of the row: up to 1, 2, 5, 10, 20, 50 and 100 %. Right answers lie on the diagonal and "
      "are "
      "blue, wrong ones orange.";
  if (classes <= kMostInMatrix) {
    html.markup(matrix_markup(report, counts)).element("p", shades, {{"class", "soft"}});
  } else {
    const HeatMap chart{"Confusion matrix of the hybrid, " + grouped(classes) + " classes", "true class", "answer",
                        counts};
    html.open("div", {{"class", "pair"}});
    html.markup(
        figure_markup(heat_map(chart), shades + " Classes have their numbers.", sparse_numbers(report, counts)));
    html.open("div").markup(frequent_markup(report, counts)).close().close();
  }
  html.element("h3", "What each class lost or won against the teacher");
  html.markup(
      changes_markup(report, changes, kMostLosers,
                     changes.size() > kMostLosers ? "The classes that lost most" : "All classes, most lost first"));
  if (changes.size() > kMostLosers)
    html.markup(
        folded_markup("All classes", changes_markup(report, changes, changes.size(), "All classes, most lost first")));
  return html.str();
}

std::string disputed_section(const RunReport& report) {
  if (!report.answers_missing.empty()) return missing_markup("The comparison of the answers", report.answers_missing);
  const auto &teacher = *report.teacher_answers, &hybrid = *report.hybrid_answers;
  const auto counts = agreement(teacher, hybrid);
  Html html;
  html.markup(agreement_markup(counts, teacher.labels.size()));
  html.element("p", "Teacher and hybrid answer differently to " + grouped(counts.different) + " of " +
                        grouped(static_cast<int64_t>(teacher.labels.size())) + " images.");
  if (!report.pictures_missing.empty())
    return html.markup(missing_markup("A selection of them", report.pictures_missing)).str();
  if (report.pictures.empty()) return html.str();
  html.element(
      "p",
      "Some of these: first those that only the teacher knows, then those that only the hybrid knows, then those "
      "that neither does; of each kind the ones of whose answers both are surest. In brackets the probability that "
      "the network gives its answer.",
      {{"class", "soft"}});
  html.open("ul", {{"class", "pictures"}});
  for (const auto& picture : report.pictures) html.markup(picture_markup(report, picture));
  return html.close().str();
}

}  // namespace mfi
