#include "mfi/report/view_line.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/text.h"
#include "mfi/report/columns.h"

namespace mfi {
namespace {

constexpr size_t kShortestBar = 8, kLongestBar = 30;

const char* code_of(Look look) {
  switch (look) {
    case Look::bold:
      return "\x1b[1m";
    case Look::faint:
      return "\x1b[2m";
    case Look::green:
      return "\x1b[32m";
    case Look::red:
      return "\x1b[31m";
    case Look::plain:
      break;
  }
  return "";
}

// Rounded down: 100 only when all is done.
std::string percent_text(double share) { return format("%3.0f %%", std::floor(100 * std::clamp(share, 0.0, 1.0))); }

size_t columns_with(const std::vector<ViewField>& fields) {
  size_t out = 0;
  for (const auto& field : fields) out += 2 + field.text.size();
  return out;
}

}  // namespace

size_t ViewLine::room() const {
  const size_t columns = std::max<size_t>(style_.columns, 1) - 1;
  return columns > line_.columns ? columns - line_.columns : 0;
}

void ViewLine::add(std::string_view text, Look look) {
  const auto fitted = fit_columns(text, room());
  if (fitted.text.empty()) return;
  const bool coloured = style_.colour && look != Look::plain;
  line_.text += coloured ? code_of(look) + fitted.text + "\x1b[0m" : fitted.text;
  line_.columns += fitted.columns;
}

void ViewLine::add_whole(const std::vector<std::string>& texts) {
  for (const auto& text : texts)
    if (columns_of(text) <= room()) {
      add(text);
      return;
    }
}

void ViewLine::add_bar_and_fields(double share, std::vector<ViewField> fields) {
  const auto percent = percent_text(share);
  const size_t smallest = kShortestBar + 1 + percent.size();
  if (room() < smallest) {
    add(percent);
    return;
  }
  size_t spare = room() - smallest;
  if (columns_with(fields) > spare)
    for (auto& field : fields) field.text = field.brief;
  while (columns_with(fields) > spare) fields.pop_back();
  spare -= columns_with(fields);
  std::sort(fields.begin(), fields.end(), [](const ViewField& a, const ViewField& b) { return a.order < b.order; });
  add_bar(share, std::min(kLongestBar, kShortestBar + spare));
  add(" " + percent);
  for (const auto& field : fields) add("  " + field.text);
}

void ViewLine::add_bar(double share, size_t columns) {
  const double filled = std::clamp(share, 0.0, 1.0) * static_cast<double>(columns);
  const auto whole = static_cast<size_t>(filled);
  std::string done, open;
  for (size_t i = 0; i < whole; ++i) done += style_.unicode ? "━" : "#";
  size_t used = whole;
  if (style_.unicode && used < columns && filled - static_cast<double>(whole) >= 0.5) {
    done += "╸";
    ++used;
  }
  for (; used < columns; ++used) open += style_.unicode ? "─" : ".";
  add(done);
  add(open, Look::faint);
}

}  // namespace mfi
