#include "mfi/pipeline/recipe.h"

#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/pipeline/flow_settings.h"
#include "mfi/pipeline/recipe_table.h"
#include "mfi/pipeline/teacher.h"
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

// ---- Keys that depend on each other ------------------------------------------------------------

struct Problem {
  std::string path;  // the key to blame
  std::string text;
};

std::optional<Problem> check_blocks(const Recipe& recipe, const Arch& teacher) {
  const auto& blocks = recipe.pipeline.blocks;
  if (blocks.empty()) return std::nullopt;
  const auto problem = [](const std::string& text) { return Problem{"pipeline.blocks", "pipeline.blocks " + text}; };
  const auto stages = teacher.stages.size();
  if (!recipe.pipeline.incubate_default)
    return problem(
        "and pipeline.incubate are both given, expected one of them: stages that keep their blocks need no "
        "incubation");
  if (blocks.size() != 1 && blocks.size() != stages)
    return problem(format("has %zu entries, expected 1 or %zu (%s has as many stages)", blocks.size(), stages,
                          teacher.name.c_str()));
  bool smaller = false;
  for (size_t stage = 0; stage < stages; ++stage) {
    const auto kept = stage_entry(blocks, stage), all = std::get<BlocksArch>(teacher.stages[stage].body).count;
    if (kept > all)
      return problem(format("is %lld for stage %zu, which has %lld", static_cast<long long>(kept), stage + 1,
                            static_cast<long long>(all)));
    smaller = smaller || kept < all;
  }
  if (!smaller) return problem("keeps every block of " + teacher.name + ", expected a stage with fewer, or with 0");
  return std::nullopt;
}

// Lists with an entry for each stage have as many as there are stages.
std::optional<Problem> check_list_lengths(const Recipe& recipe, size_t stages, const std::string& of_arch) {
  for (const auto& entry : recipe_entries()) {
    if (!entry.is_per_stage) continue;
    const auto value = entry.get(recipe);
    const auto* texts = std::get_if<std::vector<std::string>>(&value);
    const size_t entries = texts ? texts->size() : std::get<std::vector<int64_t>>(value).size();
    if (entries != 1 && entries != stages)
      return Problem{entry.key.path, entry.key.path + " has " + std::to_string(entries) + " entries, expected 1 or " +
                                         std::to_string(stages) + of_arch};
  }
  return std::nullopt;
}

// Whoever asks for a larger kernel shall not wonder why nothing came of it.
std::optional<Problem> check_pointwise(const FlowSettings& flow) {
  for (const auto& kind : flow.velocity)
    if (kind != "pointwise") return std::nullopt;
  for (const auto& [path, list, plain] :
       {std::tuple{"flow.kernel", &flow.kernel, 3}, std::tuple{"flow.dilation", &flow.dilation, 1}})
    for (const auto value : *list)
      if (value != plain)
        return Problem{path, std::string(path) + " is " + recipe_value_text(*list) +
                                 ", but flow.velocity is pointwise in every stage, which looks at one pixel"};
  return std::nullopt;
}

std::optional<Problem> check_stages(const Recipe& recipe) {
  const auto teacher = teacher_arch(recipe);
  const auto stages = teacher.stages.size();
  const auto of_arch = " (" + teacher.name + " has " + std::to_string(stages) + " stages)";
  const auto& flow = recipe.flow;
  if (auto problem = check_list_lengths(recipe, stages, of_arch)) return problem;
  if (auto problem = check_pointwise(flow)) return problem;
  for (const auto stage : recipe.pipeline.incubate)
    if (stage > static_cast<int64_t>(stages))
      return Problem{"pipeline.incubate", "pipeline.incubate names stage " + std::to_string(stage) +
                                              ", expected 1 to " + std::to_string(stages) + of_arch};
  if (auto problem = check_blocks(recipe, teacher)) return problem;
  for (size_t stage = 0; stage < stages; ++stage) {
    auto modules = stage_entry(flow.modules, stage);
    if (modules == 0) modules = stage + 1 == stages ? 2 : 1;
    const auto whole = [&](const char* path, int64_t steps) -> std::optional<Problem> {
      if (steps % modules == 0) return std::nullopt;
      return Problem{path, format("%s is %lld for stage %zu, expected a multiple of its %lld modules", path,
                                  static_cast<long long>(steps), stage + 1, static_cast<long long>(modules))};
    };
    if (auto problem = whole("flow.steps", stage_entry(flow.steps, stage))) return problem;
    for (const auto steps : recipe.objective.endpoint_steps)
      if (auto problem = whole("objective.endpoint_steps", steps)) return problem;
  }
  return std::nullopt;
}

std::optional<Problem> check_steps(const Recipe& recipe) {
  if (recipe.network.fine_tune && recipe.network.model.empty())
    return Problem{"network.fine_tune", "network.fine_tune is true, expected a network.model beside it"};
  const std::pair<const char*, const StepSettings*> steps[] = {{"teacher", &recipe.teacher},
                                                               {"map", &recipe.map},
                                                               {"meta", &recipe.meta},
                                                               {"incubate", &recipe.incubate},
                                                               {"hybrid", &recipe.hybrid}};
  for (const auto& [section, step] : steps)
    if (step->warmup_epochs > static_cast<double>(step->epochs)) {
      const auto path = std::string(section) + ".warmup_epochs";
      return Problem{path, path + " is " + recipe_value_text(step->warmup_epochs) + ", expected at most " + section +
                               ".epochs, " + std::to_string(step->epochs)};
    }
  const auto& objective = recipe.objective;
  if (objective.meanflow + objective.endpoint + objective.alignment + objective.regression <= 0)
    return Problem{"objective.meanflow",
                   "objective.meanflow, endpoint, alignment and regression are all 0, "
                   "expected at least one above 0 (objective.logits comes on top of them)"};
  return std::nullopt;
}

// What a search tries has to be something that a recipe may ask for.
std::optional<Problem> check_search(const Recipe& recipe) {
  for (const auto modules : recipe.search.modules) {
    for (const auto steps : recipe.objective.endpoint_steps)
      if (recipe.objective.endpoint != 0 && steps % modules != 0)
        return Problem{"search.modules",
                       format("search.modules has %lld, of which %lld of objective.endpoint_steps is no multiple",
                              static_cast<long long>(modules), static_cast<long long>(steps))};
    for (const auto steps : recipe.search.steps)
      if (modules * steps > 64)
        return Problem{"search.steps",
                       format("search.steps has %lld for each of %lld modules, expected at most 64 steps",
                              static_cast<long long>(steps), static_cast<long long>(modules))};
  }
  return std::nullopt;
}

std::optional<Problem> first_problem(const Recipe& recipe) {
  for (const auto& entry : recipe_entries())
    if (auto text = range_problem(entry, entry.get(recipe)); !text.empty()) return Problem{entry.key.path, text};
  if (auto problem = check_stages(recipe)) return problem;
  if (auto problem = check_search(recipe)) return problem;
  return check_steps(recipe);
}

// ---- Files and overrides -----------------------------------------------------------------------

std::string read_text(const fs::path& file) {
  std::error_code error;
  const auto status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) {
    const auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    auto message = file.string() + ": no such recipe";
    if (!fs::is_directory(folder, error))
      throw NotFoundError(message + "; there is no folder " + folder.string() + " either");
    std::vector<std::string> stems;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
      if (it->path().extension() == ".toml") stems.push_back(it->path().stem().string());
    std::sort(stems.begin(), stems.end());  // a folder has no order; the answer should
    const auto nearest = nearest_name(file.stem().string(), stems);
    if (!nearest.empty()) message += "; did you mean " + (file.parent_path() / (nearest + ".toml")).string() + "?";
    throw NotFoundError(message);
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
  explicit Reader(const fs::path& file) : file_(file.string()) {}

  void read_file(const std::string& text) {
    toml::table document;
    try {
      document = toml::parse(text);
    } catch (const toml::parse_error& error) {
      fail(file_ + ":" + std::to_string(error.source().begin.line), "not TOML: " + std::string(error.description()));
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
    for (const auto& [place, path, node] : found) take(file_ + ":" + std::to_string(place.line), path, *node);
  }

  void read_override(const std::string& text) {
    const auto where = "--set " + text;
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) fail(where, "expected section.key=value");
    const auto path = text.substr(0, equals), value = text.substr(equals + 1);
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
    take(where, path, *parsed.get("value"));
  }

  Recipe finish() {
    recipe_.data.seed = recipe_.seed;
    if (auto& model = recipe_.network.model; !model.empty()) {
      // Paths in a file are meant from its folder, those on the command line from where one stands.
      const bool of_file = origins_.at("network.model").starts_with(file_);
      model = fs::absolute(of_file ? fs::path(file_).parent_path() / model : fs::path(model)).lexically_normal();
      take_pictures_as(describe_model(model));
    }
    if (const auto problem = first_problem(recipe_)) {
      const auto origin = origins_.find(problem->path);
      fail(origin == origins_.end() ? file_ : origin->second, problem->text);
    }
    return recipe_;
  }

 private:
  struct Found {
    toml::source_position place;
    std::string path;
    const toml::node* node;
  };

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

  void take(const std::string& where, const std::string& path, const toml::node& node) {
    const auto* entry = find_entry(path);
    if (!entry) {
      if (is_section(path)) fail(where, path + " is " + node_text(node) + ", expected a section [" + path + "]");
      fail(where, node.is_table() && path.find('.') == std::string::npos ? unknown_section(path) : unknown_key(path));
    }
    const auto problem = assign(recipe_, *entry, node);
    if (!problem.empty()) fail(where, problem);
    origins_[path] = where;
  }

  std::string file_;
  Recipe recipe_;
  std::map<std::string, std::string> origins_;
};

}  // namespace

void Recipe::validate() const {
  if (const auto problem = first_problem(*this)) throw RecipeError(problem->text);
}

Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  Reader reader(file);
  reader.read_file(read_text(file));
  for (const auto& text : overrides) reader.read_override(text);
  return reader.finish();
}

std::vector<std::string> recipe_differences(const Recipe& before, const Recipe& after) {
  std::vector<std::string> out;
  for (const auto& entry : recipe_entries()) {
    const auto section = entry.section();
    if (entry.key.path == "name" || section == "checkpoint" ||
        (section == "runtime" && entry.name() != "precision" && entry.name() != "sync_batch_norm"))
      continue;
    const auto text = [&](const Recipe& recipe) {
      return entry.is_given(recipe) ? recipe_value_text(entry.get(recipe)) : entry.key.default_text;
    };
    if (text(before) != text(after)) out.push_back(entry.key.path + " " + text(before) + " -> " + text(after));
  }
  return out;
}

std::string recipe_to_toml(const Recipe& recipe) {
  std::string text, section;
  for (const auto& entry : recipe_entries()) {
    if (entry.section() != section) {
      section = entry.section();
      text += "\n[" + section + "]\n";
    }
    text += entry.is_given(recipe) ? entry.name() + " = " + recipe_value_text(entry.get(recipe)) + "\n"
                                   : "# " + entry.name() + ": not given, so " + entry.key.default_text + "\n";
  }
  return text;
}

}  // namespace mfi
