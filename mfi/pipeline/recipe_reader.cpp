// From a recipe's text, and the words of --set, to a recipe.
#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/pipeline/recipe.h"
#include "mfi/pipeline/recipe_checks.h"
#include "mfi/pipeline/recipe_table.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kMaxFileBytes = 1 << 20;  // a recipe has a few KiB; more is some other file

// ---- Names -------------------------------------------------------------------------------------

const RecipeEntry* find_entry(const std::string& path) {
  for (const auto& entry : recipe_entries())
    if (entry.key.path == path) return &entry;
  return nullptr;
}

// Not a setting: another recipe, whose settings count where this one says nothing.
constexpr const char* kExtends = "extends";

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const auto& entry : recipe_entries()) {
    const auto section = entry.section();
    if (!section.empty() && std::find(names.begin(), names.end(), section) == names.end()) names.push_back(section);
  }
  return names;
}

bool is_section(const std::string& name) {
  const auto names = section_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string unknown_section(const std::string& name) {
  const auto nearest = nearest_name(name, section_names());
  return "unknown section " + name +
         (nearest.empty() ? "; the sections are " + join(section_names(), ", ") : "; did you mean " + nearest + "?");
}

// What was meant is looked for in this order: the same name in another section, a near name in this
// one, a near path anywhere.
std::string unknown_key(const std::string& path) {
  const auto dot = path.find('.');
  const auto section = dot == std::string::npos ? "" : path.substr(0, dot);
  const auto name = path.substr(dot == std::string::npos ? 0 : dot + 1);

  std::vector<std::string> homes, neighbours, paths;
  if (section.empty()) neighbours.push_back(kExtends);
  if (name == kExtends) homes.push_back("at the top, before any section");
  for (const auto& entry : recipe_entries()) {
    paths.push_back(entry.key.path);
    if (entry.section() == section) neighbours.push_back(entry.name());
    if (entry.name() == name)
      homes.push_back(entry.section().empty() ? "at the top, before any section" : "in [" + entry.section() + "]");
  }
  if (!homes.empty()) return "unknown key " + path + "; " + name + " belongs " + join(homes, " or ");
  if (!section.empty() && !is_section(section)) return unknown_section(section);
  auto nearest = nearest_name(name, neighbours);
  if (!nearest.empty())
    nearest = section.empty() ? nearest : section + "." + nearest;
  else
    nearest = nearest_name(path, paths);
  if (!nearest.empty()) return "unknown key " + path + "; did you mean " + nearest + "?";
  return "unknown key " + path + "; " + (section.empty() ? "the top" : "[" + section + "]") + " has " +
         join(neighbours, ", ");
}

// ---- Values ------------------------------------------------------------------------------------

std::string node_text(const toml::node& node) {
  if (node.is_table()) return "a section";
  if (node.is_array_of_tables()) return "a list of sections";
  if (const auto* text = node.as_string()) return recipe_value_text(text->get());
  if (const auto* number = node.as_floating_point()) return recipe_value_text(number->get());
  std::ostringstream out;
  node.visit([&](const auto& held) { out << held; });
  return out.str();
}

/// The node as T, or nothing. Only an integer where a number is expected is converted.
template <class T>
std::optional<T> single_value(const toml::node& node) {
  if constexpr (std::is_same_v<T, double>)
    if (const auto* integer = node.as_integer()) return static_cast<double>(integer->get());
  const auto* value = node.as<T>();
  if (!value) return std::nullopt;
  return T(value->get());
}

template <class T>
std::optional<std::vector<T>> list_value(const toml::array& array) {
  std::vector<T> list;
  for (const auto& item : array) {
    const auto value = single_value<T>(item);
    if (!value) return std::nullopt;
    list.push_back(*value);
  }
  return list;
}

template <class T>
struct is_list : std::false_type {};
template <class T>
struct is_list<std::vector<T>> : std::true_type {};

/// The node as the entry's type; nothing when it is of another.
std::optional<RecipeValue> value_of(const toml::node& node, const RecipeEntry& entry) {
  return std::visit(
      [&](const auto& sample) -> std::optional<RecipeValue> {
        using Held = std::decay_t<decltype(sample)>;
        if constexpr (is_list<Held>::value) {
          using Item = typename Held::value_type;
          if (const auto* array = node.as_array()) return list_value<Item>(*array);
          if (!entry.takes_one_value) return std::nullopt;
          const auto one = single_value<Item>(node);
          return one ? std::optional<RecipeValue>(Held{*one}) : std::nullopt;
        } else {
          return single_value<Held>(node);
        }
      },
      entry.default_value);
}

std::string expected_type(const RecipeEntry& entry) {
  switch (entry.default_value.index()) {
    case 0:
      return "true or false";
    case 1:
      return "an integer";
    case 2:
      return "a number";
    case 3:
      return "a text in quotes";
    case 4:
      return entry.takes_one_value ? "an integer or a list of them" : "a list of integers";
    default:
      return "a text in quotes or a list of them";
  }
}

/// Sets the field, or says what is wrong.
std::string assign(Recipe& recipe, const RecipeEntry& entry, const toml::node& node) {
  const auto value = value_of(node, entry);
  if (!value) {
    auto problem = entry.key.path + " is " + node_text(node) + ", expected " + expected_type(entry);
    if (entry.default_value.index() != 0) problem += " (" + entry.key.range + ")";
    return problem;
  }
  // One value for a list is shown as it was written, without brackets.
  auto problem = range_problem(entry, *value, entry.takes_one_value && !node.is_array() ? node_text(node) : "");
  if (problem.empty()) entry.set(recipe, *value);
  return problem;
}

// ---- Files and overrides -----------------------------------------------------------------------

constexpr const char* kWhereRecipesAre =
    "; those that come with mfi are in recipes of its source, and in share/mfi/recipes where it is installed";

std::string read_text(const fs::path& file) {
  std::error_code error;
  const auto status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) {
    const auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    auto message = file.string() + ": no such recipe";
    if (!fs::is_directory(folder, error))
      throw NotFoundError(message + "; there is no folder " + folder.string() + " either" + kWhereRecipesAre);
    std::vector<std::string> stems;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
      if (it->path().extension() == ".toml") stems.push_back(it->path().stem().string());
    std::sort(stems.begin(), stems.end());  // a folder has no order; the answer should
    const auto nearest = nearest_name(file.stem().string(), stems);
    if (nearest.empty()) throw NotFoundError(message + kWhereRecipesAre);
    throw NotFoundError(message + "; did you mean " + (file.parent_path() / (nearest + ".toml")).string() + "?");
  }
  if (status.type() == fs::file_type::directory)
    throw NotFoundError(file.string() + ": is a folder, expected a recipe file");
  if (fs::file_size(file, error) > kMaxFileBytes && !error)
    throw RecipeError(file.string() + ": is larger than 1 MiB, which no recipe is");
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) throw NotFoundError(file.string() + ": cannot be read");
  return text;
}

/// A list of texts, with quotes around each: [a, b] becomes ["a", "b"].
std::string with_quotes(const std::string& list) {
  std::string out;
  bool inside = false;
  for (const char c : list) {
    const bool of_word = std::string_view("[], \t").find(c) == std::string_view::npos;
    if (of_word != inside) out += '"';
    inside = of_word;
    out += c;
  }
  return inside ? out + '"' : out;
}

/// Reads into a recipe and remembers where each key came from, for the checks that come last.
class Reader {
 public:
  /// With the recipe that it extends, which is read first.
  void read_file(const fs::path& file) {
    const auto text = read_text(file);
    toml::table document;
    try {
      document = toml::parse(text);
    } catch (const toml::parse_error& error) {
      fail(file.string() + ":" + std::to_string(error.source().begin.line),
           "not TOML: " + std::string(error.description()));
    }
    const auto depth = static_cast<int>(files_.size());
    files_.push_back(file);
    if (const auto* node = document.get(kExtends)) {
      read_extended(file.string() + ":" + std::to_string(node->source().begin.line), *node);
      document.erase(kExtends);
    }
    std::vector<Found> found;
    for (const auto& [key, node] : document) {
      const std::string name(key.str());
      if (is_section(name) && node.is_table()) {
        for (const auto& [inner, value] : *node.as_table())
          found.push_back({inner.source().begin, name + "." + std::string(inner.str()), &value});
      } else {
        found.push_back({key.source().begin, name, &node});
      }
    }
    // toml++ sorts by name; the first mistake that a reader of the file meets is the one to report.
    std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.place < b.place; });
    for (const auto& [place, path, node] : found)
      take({file.string() + ":" + std::to_string(place.line), file.parent_path(), depth}, path, *node);
  }

  void read_override(const std::string& text) {
    const auto where = "--set " + text;
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) fail(where, "expected section.key=value");
    const auto path = text.substr(0, equals), value = text.substr(equals + 1);
    if (path == kExtends) fail(where, "a recipe is extended by a file, at its top: extends = \"" + value + "\"");
    const auto* entry = find_entry(path);
    if (!entry) fail(where, is_section(path) ? path + " is a section, expected section.key=value" : unknown_key(path));
    const bool bare = value.find_first_of("\"'") != 0;
    toml::table parsed;
    // Texts may stand without quotes, so that a shell need not quote twice.
    if (!(bare && std::holds_alternative<std::string>(entry->default_value))) {
      const bool bare_texts = std::holds_alternative<std::vector<std::string>>(entry->default_value) &&
                              value.find_first_of("\"'") == std::string::npos;
      try {
        parsed = toml::parse("value = " + (bare_texts ? with_quotes(value) : value));
      } catch (const toml::parse_error&) {
      }
    }
    if (parsed.size() != 1) {
      parsed = toml::table{};
      parsed.insert("value", value);
    }
    take({where, {}, kCommandLine}, path, *parsed.get("value"));
  }

  Recipe finish() {
    if (files_.size() > 1) take_own_name();
    recipe_.data.seed = recipe_.seed;
    if (auto& model = recipe_.network.model; !model.empty()) {
      model = fs::absolute(origins_.at("network.model").folder / model).lexically_normal();
      take_pictures_as(describe_model(model));
    }
    if (const auto problem = first_problem(recipe_)) {
      const auto origin = origins_.find(problem->path);
      if (origin == origins_.end()) fail(files_.front().string(), problem->text);
      // What is there may be right, and wrong only beside what the others say.
      fail(origin->second.where,
           problem->text + (origin->second.depth > 0 ? "; it is extended by " + files_.front().string() : ""));
    }
    return recipe_;
  }

 private:
  struct Found {
    toml::source_position place;
    std::string path;
    const toml::node* node;
  };

  static constexpr int kCommandLine = -1;

  struct Origin {
    std::string where;  // "x.toml:3", "--set seed=1"
    fs::path folder;    // from which a path in it is meant: the file's, or where one stands
    int depth = 0;      // 0: the recipe itself, 1: what it extends, and so on; before all of them the command line
  };

  void read_extended(const std::string& where, const toml::node& node) {
    const auto* text = node.as_string();
    if (!text || text->get().empty())
      fail(where, std::string(kExtends) + " is " + node_text(node) + ", expected a recipe's file in quotes");
    const auto base = (files_.back().parent_path() / text->get()).lexically_normal();
    std::error_code ignored;
    for (const auto& file : files_)
      if (fs::equivalent(file, base, ignored))
        fail(where, std::string(kExtends) + " is " + node_text(node) + ", but that recipe extends this one");
    // A device or a pipe might never end.
    if (fs::is_other(fs::status(base, ignored)))
      fail(where, std::string(kExtends) + " is " + node_text(node) + ", which is no file");
    try {
      read_file(base);
    } catch (const NotFoundError& error) {
      fail(where, std::string(kExtends) + ": " + error.what());
    }
  }

  // Two recipes that extend the same one are two runs: a name is never taken over.
  void take_own_name() {
    if (const auto origin = origins_.find("name"); origin != origins_.end() && origin->second.depth <= 0) return;
    const auto* entry = find_entry("name");
    const RecipeValue name = files_.front().stem().string();
    if (const auto problem = range_problem(*entry, name); !problem.empty())
      fail(files_.front().string(), problem + "; it is that of the file: give the recipe a name = \"...\" of its own");
    entry->set(recipe_, name);
  }

  // These two exclude each other, so one that is given nearer to the user puts the other one aside.
  void put_aside_other(const std::string& path, const Origin& origin) {
    auto& pipeline = recipe_.pipeline;
    const bool is_blocks = path == "pipeline.blocks";
    if (!is_blocks && path != "pipeline.incubate") return;
    if (is_blocks && pipeline.blocks.empty()) put_aside_width(origin);
    const auto other = origins_.find(is_blocks ? "pipeline.incubate" : "pipeline.blocks");
    if (other == origins_.end() || other->second.depth <= origin.depth) return;
    if (is_blocks && pipeline.blocks.empty()) return;
    if (is_blocks)
      pipeline.incubate = {}, pipeline.incubate_default = true;
    else
      pipeline.blocks = {}, put_aside_width(origin);
    origins_.erase(other);
  }

  // Without blocks there is nothing that has a width, but one that is given as near as this is a mistake to be told of.
  void put_aside_width(const Origin& origin) {
    const auto width = origins_.find("pipeline.block_width");
    if (width == origins_.end() || width->second.depth <= origin.depth) return;
    recipe_.pipeline.block_width = {0};
    origins_.erase(width);
  }

  // What the recipe does not say of its pictures is as the given teacher was judged.
  void take_pictures_as(const ModelDescription& teacher) {
    const auto is_free = [&](const char* key) { return !origins_.contains(key); };
    if (is_free("data.image_size")) recipe_.data.image_size = teacher.arch.image_size;
    if (is_free("data.resize")) recipe_.data.resize = teacher.info.resize;
    if (is_free("data.crop")) recipe_.data.crop = teacher.info.crop;
  }

  [[noreturn]] static void fail(const std::string& where, const std::string& what) {
    throw RecipeError(where + ": " + what);
  }

  void take(const Origin& origin, const std::string& path, const toml::node& node) {
    const auto& where = origin.where;
    const auto* entry = find_entry(path);
    if (!entry) {
      if (is_section(path)) fail(where, path + " is " + node_text(node) + ", expected a section [" + path + "]");
      fail(where, node.is_table() && path.find('.') == std::string::npos ? unknown_section(path) : unknown_key(path));
    }
    const auto problem = assign(recipe_, *entry, node);
    if (!problem.empty()) fail(where, problem);
    origins_[path] = origin;
    put_aside_other(path, origin);
  }

  std::vector<fs::path> files_;  // each extends the next
  Recipe recipe_;
  std::map<std::string, Origin> origins_;
};

}  // namespace

Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  Reader reader;
  reader.read_file(file);
  for (const auto& text : overrides) reader.read_override(text);
  return reader.finish();
}

}  // namespace mfi
