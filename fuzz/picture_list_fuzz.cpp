// Lists of pictures: names of files, one a line, and behind an empty line what each metadata.csv among them holds.
#include <algorithm>

#include "fuzz/target.h"
#include "mfi/core/error.h"
#include "mfi/data/picture_list.h"

namespace mfi::fuzz {

namespace {

class Names : public FileTree {
 public:
  explicit Names(std::string_view bytes) {
    const auto gap = bytes.find("\n\n");
    auto names = bytes.substr(0, gap);
    if (gap != std::string_view::npos) table_ = bytes.substr(gap + 2);
    while (!names.empty()) {
      const auto end = std::min(names.find('\n'), names.size());
      names_.emplace_back(names.substr(0, end));
      names.remove_prefix(std::min(end + 1, names.size()));
    }
    std::sort(names_.begin(), names_.end());
    names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  }
  std::string read(size_t) const override { return table_; }

 private:
  std::string table_;
};

}  // namespace

void parse(std::string_view bytes) {
  const Names tree(bytes);
  const auto list = list_pictures(tree, "input", 0.2, 7);
  require(!list.train.empty() && !list.test.empty(), "there is something to train and to test on");
  for (const auto* part : {&list.train, &list.validation, &list.test})
    for (const auto& picture : *part)
      require(picture.file < tree.names().size() && picture.label >= 0 &&
                  picture.label < static_cast<int64_t>(list.class_names.size()),
              "every picture is a file and of a class");
}

}  // namespace mfi::fuzz
