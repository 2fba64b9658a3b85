// UTF-8 (RFC 3629): what is a character, and what only bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mfi {

struct Utf8Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: none begins here, be it cut off, longer than it has to be, or half of a pair
};

/// The first character of a text that is not empty.
Utf8Character first_utf8_character(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace mfi
