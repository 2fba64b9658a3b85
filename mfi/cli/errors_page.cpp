#include "mfi/cli/errors_page.h"

#include <sstream>
#include <vector>

#include "mfi/cli/help_facts.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

// From the heading's line up to the next one of its rank or above.
std::string section_at(const std::string& page, size_t heading, size_t rank) {
  std::istringstream lines(page.substr(heading));
  std::string line, out;
  std::getline(lines, out);
  out += "\n";
  while (std::getline(lines, line)) {
    const auto marks = line.find_first_not_of('#');
    if (marks != std::string::npos && marks > 0 && marks <= rank && line[marks] == ' ') break;
    out += line + "\n";
  }
  return out;
}

// [text](address) as text, and no backquotes.
std::string without_marks(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto middle = text[i] == '[' ? text.find("](", i) : std::string::npos;
    const auto end = middle == std::string::npos ? middle : text.find(')', middle);
    if (end != std::string::npos) {
      out += text.substr(i + 1, middle - i - 1);
      i = end;
    } else if (text[i] != '`') {
      out += text[i];
    }
  }
  return out;
}

// Markdown as plain paragraphs; what is indented stays as it is.
std::string for_terminal(const std::string& markdown) {
  std::istringstream lines(markdown);
  std::string out, paragraph;
  const auto end_paragraph = [&] {
    if (!paragraph.empty()) out += wrapped(without_marks(paragraph), 80) + "\n";
    paragraph.clear();
  };
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with("    ") || line.starts_with("#")) {
      end_paragraph();
      const auto text = line.find_first_not_of("# ");
      out += (line.starts_with("#") ? without_marks(line.substr(text)) : line) + "\n";
    } else {
      paragraph += (paragraph.empty() ? "" : " ") + line;
    }
  }
  end_paragraph();
  out.erase(out.find_last_not_of('\n') + 1);
  return out + "\n";
}

}  // namespace

std::string errors_page_section(ExitCode code, const std::string& name) {
  const std::string page = errors_page();
  const auto heading = "\n## " + std::to_string(static_cast<int>(code)) + " " + name + "\n";
  const auto at = page.find(heading);
  if (at == std::string::npos) throw Error(ExitCode::internal, "docs/errors.md has no section '" + heading + "'");
  return for_terminal(section_at(page, at + 1, 2));
}

std::string errors_page_message(const std::string& message) {
  const std::string page = errors_page(), mark = "\n### `";
  for (auto at = page.find(mark); at != std::string::npos; at = page.find(mark, at + 1)) {
    const auto start = at + mark.size();
    const auto part = page.substr(start, page.find('`', start) - start);
    if (message.find(part) == std::string::npos) continue;
    // Which exit code it belongs to says the heading above.
    const auto above = page.rfind("\n## ", at);
    return for_terminal(page.substr(above + 1, page.find('\n', above + 1) - above - 1)) + "\n" +
           for_terminal(section_at(page, at + 1, 3));
  }
  return "";
}

}  // namespace mfi
