// Lines at the foot of a terminal that are drawn over and over again.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace mfi {

/// A line as it is written, colours included, and the columns that it takes.
struct ScreenLine {
  std::string text;
  size_t columns = 0;
};

/// Draws in place on a stream: back up over what it drew before, line by line anew, and what is left below erased, in
/// one piece and inside a synchronised update, where the terminal knows of those (private mode 2026).
///
/// Between two drawings the cursor stands at the begin of the line below, and nothing about the terminal is changed, so
/// that whatever ends the program leaves a clean screen.
class LiveArea {
 public:
  /// The stream must outlive this.
  explicit LiveArea(std::ostream& out) : out_(out) {}

  /// width: the terminal's columns now. Terminals wrap what they show anew when they get narrower, so the lines drawn
  /// before may have become more rows.
  void draw(std::vector<ScreenLine> lines, size_t width);

  /// Writes a line that stays, above the area.
  void print_above(const std::string& text, size_t width);

 private:
  std::string back_up(size_t width) const;
  void write(const std::string& text);

  std::ostream& out_;
  std::vector<ScreenLine> drawn_;
  size_t width_ = 0;  // when it was drawn
};

}  // namespace mfi
