// A line of a live drawing that cannot grow beyond the terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mfi/report/live_area.h"

namespace mfi {

struct ViewStyle {
  size_t columns = 80, rows = 24;  // of the terminal
  bool colour = false, unicode = false;
};

enum class Look { plain, bold, faint, green, red };

/// Something beside a bar that may be left out.
struct ViewField {
  int order;  // of showing
  std::string text, brief;
};

class ViewLine {
 public:
  /// The style must outlive this.
  explicit ViewLine(const ViewStyle& style) : style_(style) {}

  /// Columns that are left. The terminal's last one stays empty: some wrap as soon as it is written.
  size_t room() const;

  /// Cuts off what there is no room for.
  void add(std::string_view text, Look look = Look::plain);

  /// The first of the texts that there is room for, or none.
  void add_whole(const std::vector<std::string>& texts);

  /// Bar, percent and as many of the fields as there is room for, the most wanted of which come first: all of them, in
  /// few words if need be, before some are left out; where it is narrower still, percent alone.
  void add_bar_and_fields(double share, std::vector<ViewField> fields);

  const ScreenLine& get() const { return line_; }

 private:
  void add_bar(double share, size_t columns);

  const ViewStyle& style_;
  ScreenLine line_;
};

}  // namespace mfi
