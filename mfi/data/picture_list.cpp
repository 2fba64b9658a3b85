#include "mfi/data/picture_list.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "mfi/core/error.h"
#include "mfi/core/random.h"
#include "mfi/core/text.h"
#include "mfi/core/utf8.h"
#include "mfi/data/no_label.h"
#include "mfi/formats/picture.h"

namespace mfi {
namespace {

constexpr uint64_t kTestDraws = 0x74657374ull;  // keeps them apart from other uses of the seed

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

enum class Part { whole, train, validation, test };

std::optional<Part> part_named(const std::string& folder) {
  const auto name = lower(folder);
  if (name == "train" || name == "training") return Part::train;
  if (name == "val" || name == "valid" || name == "validation") return Part::validation;
  if (name == "test" || name == "testing") return Part::test;
  return std::nullopt;
}

// Up to the first '/', and what is behind it; without one, nothing and all.
std::pair<std::string, std::string> first_folder(const std::string& name) {
  const auto slash = name.find('/');
  if (slash == std::string::npos) return {"", name};
  return {name.substr(0, slash), name.substr(slash + 1)};
}

// ---- metadata.csv ----

constexpr std::string_view kTable = "metadata.csv";
constexpr size_t kMostColumns = 1000;

// Takes one record off the text: its fields; quoted ones may hold commas, line ends and doubled quotes (RFC 4180).
bool read_record(std::string_view& text, std::vector<std::string>& fields, const std::string& where) {
  fields.clear();
  if (text.empty()) return false;
  std::string field;
  bool quoted = false;
  size_t at = 0;
  const auto end_field = [&] {
    if (fields.size() == kMostColumns)
      throw DataError(format("%s: has more than %zu columns", where.c_str(), kMostColumns));
    fields.push_back(std::move(field));
    field.clear();
  };
  while (at < text.size()) {
    const char c = text[at++];
    if (quoted) {
      if (c != '"')
        field += c;
      else if (at < text.size() && text[at] == '"')
        field += text[at++];
      else
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      end_field();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      field += c;
    }
  }
  text.remove_prefix(at);
  end_field();
  return true;
}

using Labels = std::map<std::string, std::string>;

// Labels by the names of files. Those of files that are not there are only counted, so that a long table takes no more
// than the files do.
Labels read_labels(std::string_view text, const std::string& where,
                   const std::function<bool(const std::string&)>& is_there) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string> fields;
  if (!read_record(text, fields, where)) throw DataError(where + ": empty, expected the columns file_name and label");
  const auto column = [&](const char* name) {
    const auto found = std::find(fields.begin(), fields.end(), name);
    if (found == fields.end())
      throw DataError(where + ": has the columns " + shortened(join(fields, ", ")) +
                      ", expected file_name and label among them");
    return static_cast<size_t>(found - fields.begin());
  };
  const size_t name = column("file_name"), label = column("label"), columns = fields.size();
  Labels labels;
  size_t missing = 0;
  std::string first_missing;
  for (size_t line = 2; read_record(text, fields, where); ++line) {
    if (fields.size() == 1 && fields[0].empty()) continue;
    if (fields.size() != columns)
      throw DataError(
          format("%s: record %zu has %zu fields, the first line has %zu", where.c_str(), line, fields.size(), columns));
    if (fields[label].empty()) throw DataError(format("%s: record %zu has no label", where.c_str(), line));
    if (!is_there(fields[name])) {
      if (missing++ == 0) first_missing = fields[name];
      continue;
    }
    if (!labels.emplace(fields[name], fields[label]).second)
      throw DataError(where + ": names " + shortened(fields[name]) + " twice");
  }
  if (missing > 0)
    throw DataError(format("%s: names %zu files that are not there, the first %s", where.c_str(), missing,
                           shortened(first_missing).c_str()));
  return labels;
}

// ---- the list ----

struct Found {
  size_t file;
  Part part;
  std::string label;
};

// Sorted by text, but numbers by their value: "2" before "10".
std::vector<std::string> sorted_names(const std::set<std::string>& names) {
  std::vector<std::string> out(names.begin(), names.end());
  const auto is_number = [](const std::string& s) {
    return !s.empty() && s.size() < 10 &&
           std::all_of(s.begin(), s.end(), [](unsigned char c) { return std::isdigit(c); });
  };
  if (std::all_of(out.begin(), out.end(), is_number))
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return std::stol(a) < std::stol(b); });
  return out;
}

class Lister {
 public:
  Lister(const FileTree& tree, const std::string& place) : tree_(tree), place_(place) {}

  PictureList list(double test_share, uint64_t seed, bool to_train_on) {
    skip_outer_folders();
    read_tables();
    for (size_t i = 0; i < tree_.names().size(); ++i) add(i);
    if (found_.empty())
      throw DataError(
          place_ +
          ": no pictures found; expected folders train/CLASS and test/CLASS, or CLASS, of .jpg, .png or .webp files. "
          "CIFAR is read in its binary version, which `mfi data get` downloads");
    std::set<std::string> names;
    for (const auto& picture : found_)
      if (names.insert(picture.label).second && !is_utf8(picture.label))
        throw DataError(where(picture.file) + ": the name of its class, '" + shortened(picture.label) +
                        "', is not UTF-8; rename the folder, or save metadata.csv as UTF-8");
    out_.class_names = sorted_names(names);
    share_out(test_share, seed);
    if (to_train_on) require_pictures();
    return std::move(out_);
  }

 private:
  std::string name(size_t i) const { return tree_.names()[i].substr(outer_.size()); }

  std::string where(size_t i) const { return place_ + "/" + shortened(tree_.names()[i]); }

  // A tar of a folder holds that folder, and that maybe another one. A README may lie beside them.
  void skip_outer_folders() {
    std::vector<std::string_view> names;
    for (const auto& n : tree_.names())
      if (has_picture_name(n) || n == kTable || n.ends_with("/" + std::string(kTable))) names.push_back(n);
    if (names.empty()) return;
    for (;;) {
      const auto outer = first_folder(std::string(names.front().substr(outer_.size()))).first;
      if (outer.empty() || part_named(outer)) return;
      const auto around = outer_ + outer + "/";
      if (!std::ranges::all_of(names, [&](const auto n) { return n.starts_with(around); })) return;
      // What has pictures in it and nothing else is a class.
      if (std::ranges::none_of(names, [&](const auto n) {
            const auto inside = n.substr(around.size());
            return inside == kTable || inside.find('/') != inside.npos;
          }))
        return;
      outer_ = around;
    }
  }

  void read_tables() {
    for (size_t i = 0; i < tree_.names().size(); ++i) {
      if (!tree_.names()[i].starts_with(outer_)) continue;
      const auto n = name(i);
      const auto [folder, rest] = first_folder(n);
      if (n == kTable || (rest == kTable && part_named(folder))) {
        const auto folder_name = n.substr(0, n.size() - kTable.size());
        const auto is_there = [&, before = outer_ + folder_name](const std::string& file) {
          return std::binary_search(tree_.names().begin(), tree_.names().end(), before + file);
        };
        tables_[folder_name] = read_labels(tree_.read(i), where(i), is_there);
      }
    }
  }

  void add(size_t i) {
    if (tree_.names()[i].ends_with(kTable)) return;
    if (!has_picture_name(tree_.names()[i])) {
      out_.passed_over.push_back(tree_.names()[i]);
      return;
    }
    const auto n = name(i);
    auto [folder, rest] = first_folder(n);
    auto part = Part::whole;
    std::string prefix;
    if (const auto named = part_named(folder)) {
      part = *named;
      prefix = folder + "/";
      std::tie(folder, rest) = first_folder(rest);
    }
    // The part's own table, or else one of all parts.
    if (!tables_.contains(prefix)) prefix.clear();
    if (const auto table = tables_.find(prefix); table != tables_.end()) {
      const auto label = table->second.find(n.substr(prefix.size()));
      if (label == table->second.end())
        throw DataError(where(i) + ": " + prefix + std::string(kTable) + " does not name it");
      found_.push_back({i, part, label->second});
    } else if (folder.empty()) {
      throw DataError(where(i) + ": lies in no class's folder, and no metadata.csv names it");
    } else {
      found_.push_back({i, part, folder});
    }
  }

  void share_out(double test_share, uint64_t seed) {
    std::map<std::string, int64_t> labels;
    for (size_t i = 0; i < out_.class_names.size(); ++i) labels[out_.class_names[i]] = static_cast<int64_t>(i);
    std::vector<std::vector<LabelledPicture>> whole(out_.class_names.size());
    for (const auto& picture : found_) {
      const LabelledPicture item{picture.file, labels.at(picture.label)};
      switch (picture.part) {
        case Part::train:
          out_.train.push_back(item);
          break;
        case Part::validation:
          out_.validation.push_back(item);
          break;
        case Part::test:
          out_.test.push_back(item);
          break;
        case Part::whole:
          whole[static_cast<size_t>(item.label)].push_back(item);
          break;
      }
    }
    if (out_.test.empty()) std::swap(out_.test, out_.validation);
    for (size_t c = 0; c < whole.size(); ++c) hold_out_test(whole[c], c, test_share, seed);
    const auto by_file = [](const auto& a, const auto& b) { return a.file < b.file; };
    std::sort(out_.train.begin(), out_.train.end(), by_file);
    std::sort(out_.test.begin(), out_.test.end(), by_file);
  }

  // A class's pictures that lie in no part: some to the test where there is none of its own, drawn, the others to train
  // on.
  void hold_out_test(std::vector<LabelledPicture>& pictures, size_t label, double share, uint64_t seed) {
    if (!pictures.empty() && has_test_part())
      throw DataError(where(pictures.front().file) +
                      ": lies beside the folders train, val and test, and so in none of them");
    RandomStream random(seed, kTestDraws, label);
    const auto count = static_cast<size_t>(std::llround(share * static_cast<double>(pictures.size())));
    for (size_t i = 0; i < count; ++i) std::swap(pictures[i], pictures[i + random.next() % (pictures.size() - i)]);
    out_.test.insert(out_.test.end(), pictures.begin(), pictures.begin() + static_cast<std::ptrdiff_t>(count));
    out_.train.insert(out_.train.end(), pictures.begin() + static_cast<std::ptrdiff_t>(count), pictures.end());
  }

  bool has_test_part() const {
    return std::any_of(found_.begin(), found_.end(), [](const auto& p) { return p.part != Part::whole; });
  }

  void require_pictures() const {
    if (out_.class_names.size() == 1)
      throw DataError(place_ + ": all pictures are of one class, '" + shortened(out_.class_names.front()) +
                      "', expected two at least: a folder for each, or their labels in metadata.csv");
    if (out_.train.empty()) throw DataError(place_ + ": no pictures to train on (train/CLASS, or CLASS)");
    if (out_.test.empty())
      throw DataError(place_ + (has_test_part()
                                    ? ": no pictures to test on; expected test/CLASS or val/CLASS beside train/CLASS"
                                    : ": its classes have too few pictures to set some apart for testing; "
                                      "give more of them, or a larger data.test"));
    std::vector<bool> trained(out_.class_names.size());
    for (const auto& picture : out_.train) trained[static_cast<size_t>(picture.label)] = true;
    for (size_t c = 0; c < trained.size(); ++c)
      if (!trained[c])
        throw DataError(place_ + ": the class '" + shortened(out_.class_names[c]) + "' has no pictures to train on");
  }

  const FileTree& tree_;
  const std::string& place_;
  std::string outer_;                     // folders around everything, as "flowers/"
  std::map<std::string, Labels> tables_;  // by the folder that they lie in, as "train/"
  std::vector<Found> found_;
  PictureList out_;
};

}  // namespace

PictureList list_pictures(const FileTree& tree, const std::string& place, double test_share, uint64_t seed,
                          bool to_train_on) {
  return Lister(tree, place).list(test_share, seed, to_train_on);
}

PictureList list_unlabelled(const FileTree& tree, const std::string& place) {
  PictureList out;
  for (size_t i = 0; i < tree.names().size(); ++i) {
    if (has_picture_name(tree.names()[i]))
      out.train.push_back({i, kNoLabel});
    else
      out.passed_over.push_back(tree.names()[i]);
  }
  if (out.train.empty())
    throw DataError(place + ": no pictures found; expected .jpg, .png or .webp files, in folders or not");
  return out;
}

}  // namespace mfi
