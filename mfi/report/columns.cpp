#include "mfi/report/columns.h"

#include <array>
#include <cstdint>
#include <limits>

#include "mfi/core/utf8.h"

namespace mfi {
namespace {

struct Range {
  uint32_t first, last;
};

// Whole blocks: exact enough for names of files, and the cost of an error is a line that ends a column early or late.
constexpr std::array<Range, 8> kNoColumn{{{0x0300, 0x036f},
                                          {0x0483, 0x0489},
                                          {0x0591, 0x05bd},
                                          {0x1ab0, 0x1aff},
                                          {0x1dc0, 0x1dff},
                                          {0x200b, 0x200f},
                                          {0x20d0, 0x20ff},
                                          {0xfe00, 0xfe0f}}};
constexpr std::array<Range, 9> kTwoColumns{{{0x1100, 0x115f},
                                            {0x2e80, 0x303e},
                                            {0x3041, 0xa4cf},
                                            {0xac00, 0xd7a3},
                                            {0xf900, 0xfaff},
                                            {0xfe30, 0xfe6f},
                                            {0xff00, 0xff60},
                                            {0x1f300, 0x1faff},
                                            {0x20000, 0x3fffd}}};

template <size_t N>
bool is_in(const std::array<Range, N>& ranges, uint32_t character) {
  for (const auto& range : ranges)
    if (character >= range.first && character <= range.last) return true;
  return false;
}

}  // namespace

Fitted fit_columns(std::string_view text, size_t columns) {
  Fitted out;
  while (!text.empty()) {
    const auto [code, bytes] = first_utf8_character(text);
    const bool can_be_shown = bytes > 0 && code >= 0x20 && (code < 0x7f || code >= 0xa0);
    const size_t wide = !can_be_shown ? 1 : is_in(kNoColumn, code) ? 0 : is_in(kTwoColumns, code) ? 2 : 1;
    if (out.columns + wide > columns) break;
    out.columns += wide;
    if (can_be_shown)
      out.text += text.substr(0, bytes);
    else
      out.text += '?';
    text.remove_prefix(bytes > 0 ? bytes : 1);
  }
  return out;
}

size_t columns_of(std::string_view text) { return fit_columns(text, std::numeric_limits<size_t>::max()).columns; }

}  // namespace mfi
