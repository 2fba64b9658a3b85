#include "mfi/report/text_table.h"

#include <algorithm>
#include <utility>

#include "mfi/report/columns.h"

namespace mfi {

void TextTable::add_row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

void TextTable::add_rule() { rows_.emplace_back(); }

std::string TextTable::text() const {
  std::vector<size_t> widths;
  for (const auto& column : columns_) widths.push_back(columns_of(column.title));
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));

  size_t total = 0;
  for (const auto width : widths) total += width + 2;
  const std::string rule(total - 2, '-');

  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - columns_of(cells[i]), ' ');
      out += columns_[i].align == Align::right ? padding + cells[i] : cells[i] + padding;
      out += "  ";
    }
    return out.substr(0, out.find_last_not_of(' ') + 1) + "\n";
  };

  std::vector<std::string> titles;
  for (const auto& column : columns_) titles.push_back(column.title);
  std::string out = line(titles) + rule + "\n";
  for (const auto& row : rows_) out += row.empty() ? rule + "\n" : line(row);
  return out;
}

}  // namespace mfi
