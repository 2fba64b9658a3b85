#include "mfi/report/live_area.h"

#include <algorithm>
#include <ostream>
#include <utility>

namespace mfi {
namespace {

constexpr const char* kBegin = "\x1b[?2026h";
constexpr const char* kEnd = "\x1b[?2026l";
constexpr const char* kEraseWholeLine = "\x1b[2K";
constexpr const char* kEraseRestOfLine = "\x1b[K";
// Only ever below the first row: in the top left corner tmux takes it for a clear, and keeps the old screen as history.
constexpr const char* kEraseBelow = "\x1b[J";

std::string all_lines(const std::vector<ScreenLine>& lines, bool erase_first) {
  std::string out;
  for (const auto& line : lines) out += (erase_first ? kEraseWholeLine : "") + line.text + kEraseRestOfLine + "\n";
  return out;
}

}  // namespace

void LiveArea::draw(std::vector<ScreenLine> lines, size_t width) {
  const auto before = back_up(width);
  // A terminal that has wrapped a line remembers that it did, and would join its rows again when it gets wider,
  // whatever they hold by then; it forgets that of rows that are erased. Not each time: erasing first may flicker.
  const bool erase_first = width != width_;
  width_ = width;
  drawn_ = std::move(lines);
  write(before + all_lines(drawn_, erase_first) + kEraseBelow);
}

void LiveArea::print_above(const std::string& text, size_t width) {
  if (drawn_.empty())
    out_ << text << "\n" << std::flush;
  else
    write(back_up(width) + text + kEraseRestOfLine + "\n" + all_lines(drawn_, /*erase_first=*/true) + kEraseBelow);
}

std::string LiveArea::back_up(size_t width) const {
  size_t rows = 0;
  for (const auto& line : drawn_) rows += std::max<size_t>(1, width > 0 ? (line.columns + width - 1) / width : 1);
  return rows == 0 ? "\r" : "\r\x1b[" + std::to_string(rows) + "A";
}

void LiveArea::write(const std::string& text) { out_ << kBegin + text + kEnd << std::flush; }

}  // namespace mfi
