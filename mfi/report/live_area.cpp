#include "mfi/report/live_area.h"

#include <algorithm>
#include <ostream>
#include <utility>

namespace mfi {
namespace {

constexpr const char* kBegin = "\x1b[?2026h";
constexpr const char* kEnd = "\x1b[?2026l";
constexpr const char* kEraseLine = "\x1b[K";
constexpr const char* kEraseBelow = "\x1b[J";

std::string all_lines(const std::vector<ScreenLine>& lines) {
  std::string out;
  for (const auto& line : lines) out += line.text + kEraseLine + "\n";
  return out;
}

}  // namespace

void LiveArea::draw(std::vector<ScreenLine> lines, size_t width) {
  auto before = back_up(width);
  // A terminal that has wrapped a line remembers that it did, and would join its rows again when it gets wider,
  // whatever they hold by then; it forgets that of rows that are erased. Not each time: erasing first may flicker.
  if (width != width_) before += kEraseBelow;
  width_ = width;
  drawn_ = std::move(lines);
  write(before + all_lines(drawn_) + kEraseBelow);
}

void LiveArea::print_above(const std::string& text, size_t width) {
  if (drawn_.empty())
    out_ << text << "\n" << std::flush;
  else
    write(back_up(width) + kEraseBelow + text + "\n" + all_lines(drawn_));
}

std::string LiveArea::back_up(size_t width) const {
  size_t rows = 0;
  for (const auto& line : drawn_) rows += std::max<size_t>(1, width > 0 ? (line.columns + width - 1) / width : 1);
  return rows == 0 ? "\r" : "\r\x1b[" + std::to_string(rows) + "A";
}

void LiveArea::write(const std::string& text) { out_ << kBegin + text + kEnd << std::flush; }

}  // namespace mfi
