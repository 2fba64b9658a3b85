// As much of a terminal as the tests of this folder need: what would stand on its screen.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mfi/report/columns.h"

namespace mfi {

/// Takes what a program writes: text, \r, \n (which a terminal turns into both), and of the control sequences cursor
/// up, erase to the end of line and of screen, colours, and synchronised update. Wraps at its width as soon as the last
/// column is written, the stricter of the two ways. Anything else fails the test.
class TestTerminal {
 public:
  explicit TestTerminal(size_t columns = 80, size_t rows = 24) : columns_(columns), rows_(rows) {}

  void write(std::string_view text) {
    while (!text.empty()) {
      if (text.front() == '\x1b')
        text.remove_prefix(control(text));
      else
        text.remove_prefix(character(text));
    }
  }

  /// Its lines from the first on, those that have scrolled away included, without spaces at their ends.
  std::vector<std::string> all_lines() const {
    std::vector<std::string> out;
    for (const auto& line : lines_) {
      std::string text;
      for (const auto& cell : line) text += cell;
      text.erase(text.find_last_not_of(' ') + 1);
      out.push_back(text);
    }
    while (!out.empty() && out.back().empty()) out.pop_back();
    return out;
  }

  /// The same as one text.
  std::string text() const {
    std::string out;
    for (const auto& line : all_lines()) out += line + "\n";
    return out;
  }

  /// Wraps its lines anew, as most terminals do, and joins those rows again that it has wrapped itself. The cursor must
  /// stand at the begin of the line below the last.
  void set_columns(size_t columns) {
    EXPECT_EQ(column_, 0U);
    EXPECT_TRUE(row_ == lines_.size() || (row_ + 1 == lines_.size() && lines_.back().empty()));
    std::vector<std::vector<std::string>> lines;
    std::set<size_t> wrapped;
    for (size_t row = 0; row < row_; ++row) {
      auto cells = lines_[row];
      for (; wrapped_.contains(row) && row + 1 < row_; ++row) {
        cells.resize(columns_, " ");
        cells.insert(cells.end(), lines_[row + 1].begin(), lines_[row + 1].end());
      }
      while (!cells.empty() && cells.back() == " ") cells.pop_back();
      for (size_t at = 0; at == 0 || at < cells.size(); at += columns) {
        if (at > 0) wrapped.insert(lines.size() - 1);
        lines.emplace_back(cells.begin() + static_cast<ptrdiff_t>(at),
                           cells.begin() + static_cast<ptrdiff_t>(std::min(cells.size(), at + columns)));
      }
    }
    lines_ = lines;
    wrapped_ = wrapped;
    row_ = lines_.size();
    columns_ = columns;
  }

  bool is_updating() const { return updating_; }
  size_t column() const { return column_; }
  bool is_bold(const std::string& text) const { return bold_.find(text) != std::string::npos; }

 private:
  size_t first_row() const { return lines_.size() > rows_ ? lines_.size() - rows_ : 0; }

  std::vector<std::string>& line() {
    while (lines_.size() <= row_) lines_.emplace_back();
    return lines_[row_];
  }

  size_t character(std::string_view text) {
    if (text.front() == '\r' || text.front() == '\n') {
      column_ = 0;
      if (text.front() == '\n') ++row_;
      line();
      return 1;
    }
    size_t bytes = 1;
    while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) ++bytes;
    EXPECT_GE(static_cast<unsigned char>(text.front()), 0x20);
    auto& cells = line();
    if (cells.size() <= column_) cells.resize(column_ + 1, " ");
    cells[column_] = text.substr(0, bytes);
    if (bold_now_) bold_ += text.substr(0, bytes);
    if (++column_ == columns_) {
      wrapped_.insert(row_);
      column_ = 0;
      ++row_;
    }
    return bytes;
  }

  size_t control(std::string_view text) {
    size_t end = 2;
    while (end < text.size() && (text[end] < '@' || text[end] > '~')) ++end;
    const std::string arguments(text.substr(2, end - 2));
    switch (text[end]) {
      case 'A':
        for (int i = std::stoi(arguments); i > 0 && row_ > first_row(); --i) --row_;
        break;
      case 'K':
        // Only when it erases the whole row does tmux forget that it had wrapped there.
        if (arguments == "2") line().clear();
        if (column_ == 0) wrapped_.erase(row_);
        if (line().size() > column_) line().resize(column_);
        break;
      case 'J':
        EXPECT_GT(row_, first_row()) << "tmux would keep the old screen as history";
        if (column_ == 0) wrapped_.erase(row_);
        if (line().size() > column_) line().resize(column_);
        lines_.resize(row_ + 1);
        wrapped_.erase(wrapped_.upper_bound(row_), wrapped_.end());
        break;
      case 'm':
        bold_now_ = arguments == "1";
        break;
      case 'h':
      case 'l':
        EXPECT_EQ(arguments, "?2026") << "nothing else may be switched";
        updating_ = text[end] == 'h';
        break;
      default:
        ADD_FAILURE() << "control sequence " << arguments << text[end];
    }
    return end + 1;
  }

  size_t columns_, rows_;
  std::vector<std::vector<std::string>> lines_;
  std::set<size_t> wrapped_;  // rows that go on in the next
  size_t row_ = 0, column_ = 0;
  bool updating_ = false, bold_now_ = false;
  std::string bold_;
};

}  // namespace mfi
