#include "mfi/cli/inspect_pictures.h"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <map>
#include <set>
#include <vector>

#include "mfi/core/all_cores.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/sha256.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/data/dataset.h"
#include "mfi/data/picture_list.h"
#include "mfi/formats/file_tree.h"
#include "mfi/formats/picture.h"
#include "mfi/formats/resize.h"
#include "mfi/report/text_table.h"

namespace mfi {
namespace {

constexpr int64_t kThumb = 64, kGap = 4;
constexpr size_t kThumbsInRow = 10, kMostRows = 50, kMostNamed = 20;

struct Looked {
  int64_t width = 0, height = 0;
  std::string format, sha256, problem, doubt;
  RgbImage thumb;  // of the pictures on the sheet
};

// The pictures of all parts, each with its part's name.
struct Item {
  const char* part;
  LabelledPicture picture;
};

std::vector<Item> all_items(const PictureList& list) {
  std::vector<Item> items;
  for (const auto& [part, pictures] :
       {std::pair{"train", &list.train}, std::pair{"validation", &list.validation}, std::pair{"test", &list.test}})
    for (const auto& picture : *pictures) items.push_back({part, picture});
  return items;
}

// The first pictures of each class, of the training where there are some.
std::set<size_t> items_on_sheet(const std::vector<Item>& items) {
  const auto is_train = [](const Item& item) { return std::strcmp(item.part, "train") == 0; };
  const bool has_train = std::any_of(items.begin(), items.end(), is_train);
  std::map<int64_t, size_t> shown;
  std::set<size_t> out;
  for (size_t i = 0; i < items.size(); ++i)
    if ((!has_train || is_train(items[i])) && shown[items[i].picture.label]++ < kThumbsInRow) out.insert(i);
  return out;
}

Looked look_at(const FileTree& tree, size_t file, bool thumb) {
  Looked looked;
  const auto& name = tree.names()[file];
  try {
    const auto bytes = tree.read(file);
    const auto image = decode_picture(bytes, name, /*reduction=*/1, &looked.doubt);
    looked.width = image.width;
    looked.height = image.height;
    looked.format = picture_info(bytes, name).format;
    looked.sha256 = sha256_text(bytes);
    if (thumb) looked.thumb = resized_middle(image, kThumb, 1, ResizeFilter::bicubic);
  } catch (const Error& error) {
    looked.problem = error.what();
  }
  return looked;
}

std::string sheet_png(const std::vector<Item>& items, const std::vector<Looked>& looked, size_t classes) {
  const auto rows = std::min(classes, kMostRows);
  RgbImage sheet;
  sheet.width = static_cast<int64_t>(kThumbsInRow) * (kThumb + kGap) + kGap;
  sheet.height = static_cast<int64_t>(rows) * (kThumb + kGap) + kGap;
  sheet.pixels.assign(static_cast<size_t>(sheet.width * sheet.height * 3), 255);
  std::map<int64_t, int64_t> in_row;
  for (size_t i = 0; i < items.size(); ++i) {
    const int64_t row = items[i].picture.label;
    if (looked[i].thumb.pixels.empty() || row >= static_cast<int64_t>(rows)) continue;
    const int64_t left = kGap + in_row[row]++ * (kThumb + kGap), top = kGap + row * (kThumb + kGap);
    for (int64_t y = 0; y < kThumb; ++y)
      std::memcpy(&sheet.pixels[static_cast<size_t>(((top + y) * sheet.width + left) * 3)],
                  &looked[i].thumb.pixels[static_cast<size_t>(y * kThumb * 3)], static_cast<size_t>(kThumb * 3));
  }
  return encode_png(sheet);
}

// A heading and the first few lines.
void print_some(const std::string& heading, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  std::cout << "\n" << heading << " (" << lines.size() << "):\n";
  for (size_t i = 0; i < std::min(lines.size(), kMostNamed); ++i) std::cout << "  " << lines[i] << "\n";
  if (lines.size() > kMostNamed) std::cout << "  and " << lines.size() - kMostNamed << " more\n";
}

void print_classes(const PictureList& list) {
  using Align = TextTable::Align;
  TextTable table({{"class"}, {"train", Align::right}, {"validation", Align::right}, {"test", Align::right}});
  const auto counted = [&](const std::vector<LabelledPicture>& pictures, size_t label) {
    return std::to_string(std::count_if(pictures.begin(), pictures.end(),
                                        [&](const auto& p) { return p.label == static_cast<int64_t>(label); }));
  };
  for (size_t c = 0; c < list.class_names.size(); ++c)
    table.add_row({list.class_names[c], counted(list.train, c), counted(list.validation, c), counted(list.test, c)});
  std::cout << table.text();
}

void print_sizes(const std::vector<Looked>& looked) {
  std::vector<int64_t> sides;
  std::map<std::string, int64_t> formats;
  for (const auto& l : looked) {
    if (!l.problem.empty()) continue;
    sides.push_back(std::min(l.width, l.height));
    ++formats[l.format];
  }
  if (sides.empty()) return;
  std::sort(sides.begin(), sides.end());
  std::vector<std::string> words;
  for (const auto& [format, count] : formats) words.push_back(std::to_string(count) + " " + format);
  std::cout << "files:          " << join(words, ", ") << "\n"
            << format("shorter side:   %lld to %lld pixels, half of them at least %lld\n",
                      static_cast<long long>(sides.front()), static_cast<long long>(sides.back()),
                      static_cast<long long>(sides[sides.size() / 2]));
}

}  // namespace

void inspect_pictures(const std::filesystem::path& place, const std::string& sheet) {
  install_stop_handlers();
  const auto tree = open_file_tree(place);
  const std::string name = place.string();
  const auto list = list_pictures(*tree, name, DataSettings{}.test, 0, /*to_train_on=*/false);
  const auto items = all_items(list);
  const auto on_sheet = sheet.empty() ? std::set<size_t>{} : items_on_sheet(items);
  std::vector<Looked> looked(items.size());
  on_all_cores(items.size(), [&](size_t i) {
    throw_if_stopped();
    looked[i] = look_at(*tree, items[i].picture.file, on_sheet.contains(i));
  });

  std::vector<std::string> broken, doubtful, two_classes, leaked, copies;
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!looked[i].problem.empty()) {
      broken.push_back(looked[i].problem);
      continue;
    }
    if (!looked[i].doubt.empty()) doubtful.push_back(tree->names()[items[i].picture.file] + ": " + looked[i].doubt);
    const auto [other, fresh] = first.emplace(looked[i].sha256, i);
    if (fresh) continue;
    const auto &here = items[i], &there = items[other->second];
    const auto pair = tree->names()[there.picture.file] + " = " + tree->names()[here.picture.file];
    (here.picture.label != there.picture.label ? two_classes
     : std::strcmp(here.part, there.part) != 0 ? leaked
                                               : copies)
        .push_back(pair);
  }

  std::cout << "pictures in " << name << "\n"
            << "training:       " << list.train.size() << "\n"
            << "validation:     " << list.validation.size() << "\n"
            << "test:           " << list.test.size() << "\n"
            << "classes:        " << list.class_names.size() << "\n";
  print_sizes(looked);
  std::cout << "\n";
  print_classes(list);
  print_some("the same picture in two classes, so one is mislabelled", two_classes);
  print_some("the same picture in two parts, as in training and test", leaked);
  print_some("the same picture twice", copies);
  print_some("files that are no pictures, passed over", list.passed_over);
  print_some("doubtful: the decoder complained, and some pixels may be wrong", doubtful);
  print_some("broken", broken);
  if (!sheet.empty()) {
    replace_file(sheet, sheet_png(items, looked, list.class_names.size()));
    std::cout << "\ncontact sheet, a class a row: " << sheet << "\n";
  }
  if (!broken.empty())
    throw DataError(format("%s: %zu of %zu pictures are broken (named above); a run refuses them", name.c_str(),
                           broken.size(), items.size()));
  std::cout << "\nevery picture was read and is sound" << (doubtful.empty() ? "" : ", but for the doubtful ones")
            << "\n";
}

}  // namespace mfi
