// CIFAR's archives, of a layout with few records so that inputs stay small.
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "mfi/formats/cifar_binary.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  static const CifarLayout layout{
      "cifar-100", "cifar-100-binary", "cifar-100-binary.tar.gz", {"a.bin", "b.bin"}, 2, "test.bin", 1,
      {2, 3},      "names.txt"};
  const auto set = read_cifar_archive(layout, memory_file(bytes));
  require(set.train.labels.size() == 4 && set.test.labels.size() == 1, "every record is there");
  require(set.train.pixels.size() == 4 * kCifarPixelBytes && set.test.pixels.size() == kCifarPixelBytes,
          "every pixel is there");
  for (const auto& part : {set.train, set.test})
    for (const auto label : part.labels) require(label < 3, "labels are in their range");
  require(set.class_names.size() == 3, "every class has a name");
}

}  // namespace mfi::fuzz
