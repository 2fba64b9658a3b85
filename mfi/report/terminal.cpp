#include "mfi/report/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>

namespace mfi {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// The first of these that is set decides, as for the C library.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    auto value = variable(name);
    if (value.empty()) continue;
    std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::tolower(c); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace

TerminalFeatures terminal_features(int descriptor) {
  TerminalFeatures out;
  const auto terminal = variable("TERM");
  out.can_go_back = isatty(descriptor) && !terminal.empty() && terminal != "dumb";
  out.colour = out.can_go_back && variable("NO_COLOR").empty();
  out.unicode = locale_is_utf8();
  return out;
}

TerminalSize terminal_size(int descriptor) {
  TerminalSize out;
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return out;
  if (size.ws_col > 0) out.columns = size.ws_col;
  if (size.ws_row > 0) out.rows = size.ws_row;
  return out;
}

}  // namespace mfi
