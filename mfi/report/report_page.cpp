#include "mfi/report/report_page.h"

#include "mfi/core/text.h"
#include "mfi/report/html.h"
#include "mfi/report/page_parts.h"
#include "mfi/report/report_style.h"

namespace mfi {
namespace {

struct Section {
  const char* id;
  const char* title;
  std::string (*markup)(const RunReport&);
};

constexpr Section kSections[] = {
    {"outcome", "What came out", outcome_section},
    {"parts", "Part by part", parts_section},
    {"curves", "Learning curves", curves_section},
    {"mapping", "How near the mapped stages come", mapping_section},
    {"size", "Accuracy against size", size_section},
    {"search", "What a search has found", search_section},
    {"confusion", "Which classes are confused", confusion_section},
    {"disputed", "Where teacher and hybrid disagree", disputed_section},
    {"repeat", "Recipe, machine, and how to repeat it", repeat_section},
};

}  // namespace

std::string page_section(const std::string& id, const std::string& title, const std::string& markup) {
  Html html;
  html.open("section", {{"id", id}, {"aria-labelledby", id + "-title"}});
  html.element("h2", title, {{"id", id + "-title"}}).markup(markup);
  return html.close().str();
}

std::string whole_page(const std::string& title, const std::string& header, const std::string& body) {
  Html html;
  html.open("html", {{"lang", "en"}}).open("head");
  html.empty("meta", {{"charset", "utf-8"}});
  html.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  html.empty("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
  // An icon that is empty keeps a browser from asking a server for one.
  html.empty("link", {{"rel", "icon"}, {"href", "data:,"}});
  html.element("title", title).open("style").markup(report_style()).close().close();
  html.open("body").open("header").element("h1", title).markup(header).close();
  html.open("main").markup(body).close().close().close();
  return "<!DOCTYPE html>\n" + html.str() + "\n";
}

std::string report_page(const RunReport& report) {
  Html header;
  header.open("nav", {{"aria-label", "Sections"}}).open("ul");
  std::string body;
  for (const auto& section : kSections) {
    const auto markup = section.markup(report);
    if (markup.empty()) continue;
    header.open("li").element("a", section.title, {{"href", "#" + std::string(section.id)}}).close();
    body += page_section(section.id, section.title, markup);
  }
  header.close().close();
  return whole_page("mfi run " + report.results.run, header.str(), body);
}

}  // namespace mfi
