#include "mfi/cli/shell_word.h"

namespace mfi {

std::string single_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string shell_quoted(const std::string& text) {
  constexpr auto kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  return single_quoted(text);
}

}  // namespace mfi
