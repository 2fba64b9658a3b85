// Markup that is both HTML and well-formed XML, with everything from outside escaped.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mfi {

/// Text as it may stand between tags and in an attribute's quotes. What is no UTF-8, and control characters, which
/// XML does not allow, become U+FFFD.
std::string escape_html(std::string_view text);

/// Bytes as base64 (RFC 4648), for data: addresses.
std::string base64(std::string_view bytes);

/// Elements one after another and within each other; each gets its end.
class Html {
 public:
  using Attributes = std::vector<std::pair<std::string, std::string>>;

  Html& open(const std::string& name, const Attributes& attributes = {});
  Html& close();
  Html& text(std::string_view text);
  /// An element that holds just text.
  Html& element(const std::string& name, std::string_view text, const Attributes& attributes = {});
  /// An element that holds nothing: of HTML's void ones (meta, img), and of SVG.
  Html& empty(const std::string& name, const Attributes& attributes = {});
  /// Markup that another Html made.
  Html& markup(std::string_view markup);

  /// All of it. Throws std::logic_error while an element is open.
  const std::string& str() const;

 private:
  void start(const std::string& name, const Attributes& attributes);

  std::string out_;
  std::vector<std::string> open_;
};

/// A cell of a table; numbers are aligned on the right.
struct HtmlCell {
  std::string text;
  bool number = false;
  std::string markup = {};       // instead of text
  std::string style_class = {};  // of the cell
};

HtmlCell number_cell(const std::string& text);

/// A table with a caption, column headers, and in each row a row header (the first cell). It scrolls by itself where
/// the window is narrower than it.
class HtmlTable {
 public:
  HtmlTable(std::string caption, std::vector<HtmlCell> columns);
  void add_row(std::vector<HtmlCell> cells);
  /// The row of sums.
  void add_total(std::vector<HtmlCell> cells);
  /// Begins a group of rows with a header of its own.
  void add_group(const std::string& title);
  std::string markup() const;

 private:
  struct Row {
    std::string group;  // a group's header and no row, where not empty
    std::vector<HtmlCell> cells;
    bool total = false;
  };
  std::string caption_;
  std::vector<HtmlCell> columns_;
  std::vector<Row> rows_;
};

/// <details> with a summary.
std::string folded_markup(const std::string& summary, const std::string& markup);

/// A figure: a drawing, what it shows, and below, folded, its numbers.
std::string figure_markup(const std::string& drawing, const std::string& caption, const std::string& numbers);

}  // namespace mfi
