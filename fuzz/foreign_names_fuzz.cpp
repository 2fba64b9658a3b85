// Names of tensors, one a line, as files of other programs hold them.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/target.h"
#include "mfi/exchange/foreign_names.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  std::vector<std::string> keys;
  for (size_t begin = 0; begin <= bytes.size();) {
    const auto end = std::min(bytes.find('\n', begin), bytes.size());
    keys.emplace_back(bytes.substr(begin, end - begin));
    begin = end + 1;
  }
  for (const auto& key : keys) {
    const auto name = own_name(key);
    if (!name.empty()) require(!is_bookkeeping(key), "a network's tensor does matter");
    if (key.size() < 200) require(own_name("module." + key) == name, "a wrapper's prefix changes nothing");
  }
  likely_variant(keys);
}

}  // namespace mfi::fuzz
