// Rows of text in aligned columns.
#pragma once

#include <string>
#include <vector>

namespace mfi {

/// A table for a terminal, ASCII only.
class TextTable {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell a column; missing cells at the end are empty.
  void add_row(std::vector<std::string> cells);
  /// A line across the table.
  void add_rule();

  /// Title line, rule and rows; every line ends with a newline and none with a blank.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

}  // namespace mfi
