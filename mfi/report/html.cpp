#include "mfi/report/html.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "mfi/core/utf8.h"

namespace mfi {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Bytes of the character at `at`, 0 where there is none; U+FFFE and U+FFFF are none in XML.
size_t character_length(std::string_view text, size_t at) {
  const auto [code, bytes] = first_utf8_character(text.substr(at));
  return code == 0xFFFE || code == 0xFFFF ? 0 : bytes;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_length(text, i);
    const auto c = static_cast<unsigned char>(text[i]);
    if (length == 0 || (c < 0x20 && c != '\t' && c != '\n') || c == 0x7F)
      out += kReplacement;
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else
      out += text.substr(i, length);
    i += std::max<size_t>(length, 1);
  }
  return out;
}

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k) out += k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

void Html::start(const std::string& name, const Attributes& attributes) {
  out_ += "<" + name;
  for (const auto& [key, value] : attributes) out_ += " " + key + "=\"" + escape_html(value) + "\"";
}

Html& Html::open(const std::string& name, const Attributes& attributes) {
  start(name, attributes);
  out_ += ">";
  open_.push_back(name);
  return *this;
}

Html& Html::close() {
  if (open_.empty()) throw std::logic_error("Html: nothing is open");
  out_ += "</" + open_.back() + ">";
  // Elements that stand for blocks end a line: a page is also read as a text.
  static const std::vector<std::string> kBlocks{"p",     "section", "table", "tr",  "figure", "details", "head",
                                                "svg",   "ul",      "li",    "h1",  "h2",     "h3",      "header",
                                                "title", "style",   "div",   "nav", "main",   "body",    "figcaption"};
  if (std::find(kBlocks.begin(), kBlocks.end(), open_.back()) != kBlocks.end()) out_ += "\n";
  open_.pop_back();
  return *this;
}

Html& Html::text(std::string_view text) {
  out_ += escape_html(text);
  return *this;
}

Html& Html::element(const std::string& name, std::string_view content, const Attributes& attributes) {
  return open(name, attributes).text(content).close();
}

Html& Html::empty(const std::string& name, const Attributes& attributes) {
  start(name, attributes);
  out_ += "/>";
  return *this;
}

Html& Html::markup(std::string_view markup) {
  out_ += markup;
  return *this;
}

const std::string& Html::str() const {
  if (!open_.empty()) throw std::logic_error("Html: <" + open_.back() + "> is still open");
  return out_;
}

HtmlCell number_cell(const std::string& text) { return {text, true}; }

HtmlTable::HtmlTable(std::string caption, std::vector<HtmlCell> columns)
    : caption_(std::move(caption)), columns_(std::move(columns)) {}

void HtmlTable::add_row(std::vector<HtmlCell> cells) { rows_.push_back({"", std::move(cells), false}); }

void HtmlTable::add_total(std::vector<HtmlCell> cells) { rows_.push_back({"", std::move(cells), true}); }

void HtmlTable::add_group(const std::string& title) { rows_.push_back({title, {}, false}); }

std::string HtmlTable::markup() const {
  const auto add_cell = [](Html& html, const char* name, const HtmlCell& cell, Html::Attributes attributes) {
    std::string classes = cell.number ? "number" : "";
    if (!cell.style_class.empty()) classes += (classes.empty() ? "" : " ") + cell.style_class;
    if (!classes.empty()) attributes.emplace_back("class", classes);
    html.open(name, attributes);
    if (cell.markup.empty())
      html.text(cell.text);
    else
      html.markup(cell.markup);
    html.close();
  };
  Html html;
  // Focusable, so that the keyboard can scroll it.
  html.open("div", {{"class", "scroll"}, {"role", "region"}, {"aria-label", caption_}, {"tabindex", "0"}});
  html.open("table").element("caption", caption_).open("thead").open("tr");
  for (const auto& column : columns_) add_cell(html, "th", column, {{"scope", "col"}});
  html.close().close().open("tbody");
  for (const auto& row : rows_) {
    if (!row.group.empty()) {
      html.close().open("tbody").open("tr");
      html.element("th", row.group,
                   {{"scope", "rowgroup"}, {"colspan", std::to_string(columns_.size())}, {"class", "group"}});
    } else {
      html.open("tr", row.total ? Html::Attributes{{"class", "total"}} : Html::Attributes{});
      for (size_t i = 0; i < row.cells.size(); ++i)
        add_cell(html, i == 0 ? "th" : "td", row.cells[i],
                 i == 0 ? Html::Attributes{{"scope", "row"}} : Html::Attributes{});
    }
    html.close();
  }
  return html.close().close().close().str();
}

std::string folded_markup(const std::string& summary, const std::string& markup) {
  return Html().open("details").element("summary", summary).markup(markup).close().str();
}

std::string figure_markup(const std::string& drawing, const std::string& caption, const std::string& numbers) {
  Html html;
  html.open("figure").markup(drawing).element("figcaption", caption);
  if (!numbers.empty()) html.markup(folded_markup("The numbers", numbers));
  return html.close().str();
}

}  // namespace mfi
