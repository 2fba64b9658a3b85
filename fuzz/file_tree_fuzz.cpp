// Archives of pictures: tar and zip, compressed or not.
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "mfi/formats/file_tree.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  const auto tree = open_file_tree(memory_file(bytes));
  for (size_t i = 0; i < tree->names().size(); ++i) {
    require(i == 0 || tree->names()[i - 1] < tree->names()[i], "names are sorted, and each comes once");
    (void)tree->read(i);
  }
}

}  // namespace mfi::fuzz
