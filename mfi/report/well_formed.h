// Whether a page is well-formed, for tests.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace mfi {

/// What is wrong with markup as XML: an element that is not closed, or by another's end; an attribute that is not
/// quoted or comes twice; a '<' or '&' that is neither markup nor one of XML's own entities; an id that comes twice.
/// "": nothing.
inline std::string markup_problem(const std::string& text) {
  std::vector<std::string> open;
  std::set<std::string> ids;
  bool has_root = false;
  const auto around = [&](size_t at) { return " at '" + text.substr(at, 60) + "'"; };
  const auto entity_problem = [&](size_t begin, size_t end) -> std::string {
    for (size_t i = begin; i < end; ++i) {
      if (text[i] != '&') continue;
      bool known = false;
      for (const char* entity : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"})
        known |= text.compare(i, std::string(entity).size(), entity) == 0;
      if (!known) return "an ampersand that begins nothing" + around(i);
    }
    return "";
  };
  size_t at = 0;
  if (text.starts_with("<!DOCTYPE html>\n")) at = 16;
  while (at < text.size()) {
    if (text[at] != '<') {
      const size_t end = std::min(text.find('<', at), text.size());
      if (const auto problem = entity_problem(at, end); !problem.empty()) return problem;
      if (open.empty() && text.substr(at, end - at).find_first_not_of(" \n") != std::string::npos)
        return "text outside of all elements" + around(at);
      at = end;
      continue;
    }
    const size_t start = at++;
    const bool closes = at < text.size() && text[at] == '/';
    if (closes) ++at;
    const size_t name_end =
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", at);
    if (name_end == std::string::npos || name_end == at) return "a '<' that begins no element" + around(start);
    const auto name = text.substr(at, name_end - at);
    at = name_end;
    if (closes) {
      if (text[at] != '>') return "an end with more than a name" + around(start);
      if (open.empty() || open.back() != name)
        return "</" + name + "> where " + (open.empty() ? "nothing" : "<" + open.back() + ">") + " is open" +
               around(start);
      open.pop_back();
      ++at;
      continue;
    }
    if (open.empty() && has_root) return "a second root" + around(start);
    has_root = true;
    std::set<std::string> attributes;
    while (at < text.size() && text[at] == ' ') {
      const size_t equals = text.find('=', ++at);
      if (equals == std::string::npos || text[equals + 1] != '"') return "an attribute without quotes" + around(start);
      const auto key = text.substr(at, equals - at);
      const size_t end = text.find('"', equals + 2);
      if (end == std::string::npos) return "an attribute without its end" + around(start);
      const auto value = text.substr(equals + 2, end - equals - 2);
      if (value.find('<') != std::string::npos) return "a '<' in an attribute" + around(start);
      if (const auto problem = entity_problem(equals + 2, end); !problem.empty()) return problem;
      if (!attributes.insert(key).second) return "an attribute that comes twice" + around(start);
      if (key == "id" && !ids.insert(value).second) return "an id that comes twice" + around(start);
      at = end + 1;
    }
    const bool empty = text.compare(at, 2, "/>") == 0;
    if (!empty && (at >= text.size() || text[at] != '>')) return "an element's start without its end" + around(start);
    at += empty ? 2 : 1;
    if (!empty) open.push_back(name);
  }
  return open.empty() ? (has_root ? "" : "no element") : "<" + open.back() + "> is never closed";
}

}  // namespace mfi
