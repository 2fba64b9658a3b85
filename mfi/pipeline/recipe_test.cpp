#include "mfi/pipeline/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <system_error>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/pipeline/recipe_table.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Integers = std::vector<int64_t>;
using Texts = std::vector<std::string>;

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

class RecipeFile : public testing::Test {
 protected:
  RecipeFile() {
    std::string pattern = (fs::temp_directory_path() / "mfi-recipe-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::system_error(errno, std::generic_category(), pattern);
    folder_ = pattern;
    file_ = folder_ / "x.toml";
  }
  ~RecipeFile() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  Recipe read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    std::ofstream(file_) << text;
    return read_recipe(file_, overrides);
  }

  /// The message of the RecipeError, with the folder of this test cut off; "" when there was none.
  std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
    try {
      read(text, overrides);
    } catch (const RecipeError& error) {
      std::string message = error.what();
      const auto prefix = folder_.string() + "/";
      if (message.starts_with(prefix)) message.erase(0, prefix.size());
      return message;
    }
    return "";
  }

  fs::path folder_, file_;
};

/// A recipe line, in its section, that sets one key.
std::string setting(const RecipeEntry& entry, const std::string& value) {
  const auto section = entry.section().empty() ? "" : "[" + entry.section() + "]\n";
  return section + entry.name() + " = " + value + "\n";
}

/// A model that a recipe may name.
std::string model_file() {
  static const TestFolder folder;
  const auto file = folder / "model.safetensors";
  if (!fs::exists(file)) save_model(file, Network(resnet_arch("resnet18", 2, 10)), {});
  return file.string();
}

/// A value in range that is not the default.
RecipeValue other_value(const RecipeEntry& entry) {
  if (entry.key.path == "pipeline.incubate") return Integers{4, 2};
  if (entry.key.path == "pipeline.blocks") return Integers{3, 2, 1, 0};
  if (entry.key.path == "pipeline.block_width") return Integers{32, 64, 0, 0};
  if (entry.key.path == "network.model") return model_file();
  if (entry.key.path == "name") return std::string("another.name-2");
  if (entry.key.path == "objective.endpoint_steps") return std::vector<int64_t>{2, 4};
  if (entry.key.path == "flow.steps") return Integers{4};
  if (entry.key.path == "flow.step_lengths")
    return Texts{"equal", "equal", "equal", "learned"};  // two steps, unlike one
  if (const auto* flag = std::get_if<bool>(&entry.default_value)) return !*flag;
  if (entry.key.path == "flow.kernel") return Integers{3, 5, 7, 3};
  if (entry.key.path == "flow.alignment") return Integers{3, 1, 3, 1};
  if (entry.key.path == "search.alignments") return Integers{3};
  if (std::holds_alternative<Texts>(entry.default_value))
    return Texts{entry.choices.back(), entry.choices.front(), entry.choices.back(), entry.choices.front()};
  if (!entry.choices.empty())
    return entry.choices.back() == std::get<std::string>(entry.default_value) ? entry.choices.front()
                                                                              : entry.choices.back();
  if (std::holds_alternative<Integers>(entry.default_value)) return Integers{1, 2, 2, 4};
  if (const auto* number = std::get_if<double>(&entry.default_value)) return *number == 0.3 ? 0.4 : 0.3;
  const RecipeValue three = int64_t{3}, one = int64_t{1};
  return entry.default_value == three ? one : three;
}

// ---- The table and its reference -----------------------------------------------------------------

TEST(RecipeKeys, EachSaysItsTypeDefaultRangeAndMeaning) {
  for (const auto& key : recipe_keys()) {
    SCOPED_TRACE(key.path);
    EXPECT_FALSE(key.type.empty());
    EXPECT_FALSE(key.default_text.empty());
    EXPECT_FALSE(key.range.empty());
    EXPECT_TRUE(key.meaning.ends_with(".")) << key.meaning;
    for (const auto& cell : {key.default_text, key.range, key.meaning})
      EXPECT_EQ(cell.find('|'), std::string::npos) << "would break the table in docs/recipes.md: " << cell;
  }
}

TEST(RecipeKeys, EveryPathIsNamedOnce) {
  std::vector<std::string> paths;
  for (const auto& key : recipe_keys()) paths.push_back(key.path);
  std::sort(paths.begin(), paths.end());
  EXPECT_EQ(std::adjacent_find(paths.begin(), paths.end()), paths.end());
}

TEST(RecipeKeys, EveryDefaultIsInItsRange) {
  for (const auto& entry : recipe_entries()) EXPECT_EQ(range_problem(entry, entry.default_value), "");
  EXPECT_NO_THROW(Recipe{}.validate());
}

TEST(RecipeReference, ListsEveryKeyAsTheTableHasIt) {
  std::string expected, listed;
  for (const auto& key : recipe_keys()) {
    const bool in_words = key.path == "pipeline.incubate" || key.path == "pipeline.blocks";
    const auto standing = in_words ? key.default_text : "`" + key.default_text + "`";
    expected +=
        "| `" + key.path + "` | " + key.type + " | " + standing + " | " + key.range + " | " + key.meaning + " |\n";
  }
  std::istringstream document(text_of(fs::path(MFI_SOURCE_DIR) / "docs/recipes.md"));
  for (std::string line; std::getline(document, line);)
    if (line.starts_with("| `")) listed += line + "\n";
  EXPECT_EQ(listed, expected);
}

// ---- Reading and writing -------------------------------------------------------------------------

TEST_F(RecipeFile, WithNothingInItIsTheDefaultRecipe) { EXPECT_EQ(recipe_to_toml(read("")), recipe_to_toml(Recipe{})); }

TEST_F(RecipeFile, KeepsEveryKeyThroughWritingAndReading) {
  for (const auto& entry : recipe_entries()) {
    SCOPED_TRACE(entry.key.path);
    Recipe recipe;
    const auto value = other_value(entry);
    ASSERT_NE(value, entry.default_value);
    if (entry.key.path == "network.fine_tune") recipe.network.model = model_file();
    if (entry.key.path == "pipeline.block_width") recipe.pipeline.blocks = {3, 4, 6, 0};
    entry.set(recipe, value);
    const auto text = recipe_to_toml(recipe);

    const auto again = read(text);

    EXPECT_EQ(entry.get(again), value);
    EXPECT_EQ(recipe_to_toml(again), text);
  }
}

TEST_F(RecipeFile, SetsEveryKeyByOverride) {
  for (const auto& entry : recipe_entries()) {
    const auto value = other_value(entry);
    std::vector<std::string> overrides{entry.key.path + "=" + recipe_value_text(value)};
    if (entry.key.path == "network.fine_tune") overrides.push_back("network.model=" + model_file());
    if (entry.key.path == "pipeline.block_width") overrides.push_back("pipeline.blocks=[3, 4, 6, 0]");
    const auto recipe = read("", overrides);
    EXPECT_EQ(entry.get(recipe), value) << entry.key.path;
  }
}

TEST_F(RecipeFile, TakesPicturesAsItsModelDoesWhereItSaysNothing) {
  const TestFolder folder;
  auto arch = resnet_arch("resnet18", 2, 10);
  arch.image_size = 48;
  ModelInfo info;
  info.resize = "bilinear";
  info.crop = 0.875;
  save_model(folder / "model.safetensors", Network(arch), info);
  const auto model = "network.model=" + (folder / "model.safetensors").string();
  const auto recipe = read("", {model});
  EXPECT_EQ(recipe.data.image_size, 48);
  EXPECT_EQ(recipe.data.resize, "bilinear");
  EXPECT_EQ(recipe.data.crop, 0.875);
  EXPECT_EQ(read("[data]\ncrop = 1\n", {model}).data.crop, 1);
}

TEST_F(RecipeFile, OverridesInOrderAndTakesTextWithoutQuotes) {
  const auto recipe = read("name = \"a\"\n", {"name=b", "name=c-3", "teacher.optimiser='adamw'"});
  EXPECT_EQ(recipe.name, "c-3");
  EXPECT_EQ(recipe.teacher.optimiser, "adamw");
}

TEST_F(RecipeFile, TellsAnEmptyIncubateListFromNone) {
  EXPECT_TRUE(read("").pipeline.incubate_default);
  const auto recipe = read("[pipeline]\nincubate = []\n");
  EXPECT_FALSE(recipe.pipeline.incubate_default);
  EXPECT_TRUE(recipe.pipeline.incubate.empty());
}

TEST_F(RecipeFile, RefusesASearchForWhatNoRecipeMayAskFor) {
  EXPECT_THAT(error_of("[search]\nmodules = [1, 3]\n[objective]\nendpoint_steps = 4\n"),
              HasSubstr("search.modules has 3, of which 4 of objective.endpoint_steps is no multiple"));
  EXPECT_THAT(error_of("[search]\nmodules = [8]\nsteps = [9]\n"), HasSubstr("expected at most 64 steps"));
}

TEST_F(RecipeFile, MayHaveAnyEndpointStepsWhereNothingTakesThem) {
  const std::string steps = "endpoint_steps = 3\n";
  EXPECT_NO_THROW(read("[objective]\nendpoint = 0\n" + steps + "[flow]\nmodules = 2\n[search]\nmodules = [1, 2]\n"));
  EXPECT_THAT(error_of("[objective]\nendpoint = 1\n" + steps + "[flow]\nmodules = 2\n"),
              HasSubstr("endpoint_steps is 3 for stage 1, expected a multiple of its 2 modules"));
}

TEST_F(RecipeFile, RefusesBlocksThatTheTeacherHasNot) {
  const auto refused = [&](const std::string& line) { return error_of("[pipeline]\n" + line + "\n"); };
  EXPECT_THAT(refused("blocks = [3, 5, 6, 0]"), HasSubstr("pipeline.blocks is 5 for stage 2, which has 4"));
  EXPECT_THAT(refused("blocks = [3, 4]"), HasSubstr("pipeline.blocks has 2 entries, expected 1 or 4"));
  EXPECT_THAT(refused("blocks = [3, 4, 6, 3]"), HasSubstr("keeps every block of resnet34"));
  EXPECT_THAT(refused("blocks = [0]\nincubate = [1]"), HasSubstr("pipeline.incubate are both given"));
}

TEST_F(RecipeFile, RefusesWidthsOfBlocksThatNobodyCanGive) {
  const auto refused = [&](const std::string& line) { return error_of("[pipeline]\n" + line + "\n"); };
  EXPECT_THAT(refused("block_width = 8"), HasSubstr("pipeline.block_width is [8], expected pipeline.blocks beside it"));
  EXPECT_THAT(refused("blocks = [3, 4, 6, 0]\nblock_width = [65, 0, 0, 0]"),
              HasSubstr("pipeline.block_width is 65 for stage 1"));
}

TEST_F(RecipeFile, TakesOneValueWithoutBracketsForAllStages) {
  const auto recipe = read("[flow]\nvelocity = \"depthwise\"\nkernel = 5\nalignment = 3\nhidden = 12\n",
                           {"flow.depth=2", "flow.downsampling=average", "flow.dilation=[2]"});
  EXPECT_EQ(recipe.flow.velocity, Texts{"depthwise"});
  EXPECT_EQ(recipe.flow.kernel, Integers{5});
  EXPECT_EQ(recipe.flow.alignment, Integers{3});
  EXPECT_EQ(recipe.flow.hidden, Integers{12});
  EXPECT_EQ(recipe.flow.depth, Integers{2});
  EXPECT_EQ(recipe.flow.downsampling, Texts{"average"});
  EXPECT_EQ(recipe.flow.dilation, Integers{2});
}

TEST_F(RecipeFile, TakesOneTextAStageWithQuotesOrWithout) {
  const Texts expected{"depthwise", "bottleneck", "pointwise", "depthwise"};
  EXPECT_EQ(read("[flow]\nvelocity = [\"depthwise\", \"bottleneck\", \"pointwise\", \"depthwise\"]\n").flow.velocity,
            expected);
  for (const auto* list :
       {"[depthwise, bottleneck, pointwise, depthwise]", "[depthwise,bottleneck,pointwise,depthwise]",
        "['depthwise', \"bottleneck\", 'pointwise', 'depthwise']"})
    EXPECT_EQ(read("", {std::string("flow.velocity=") + list}).flow.velocity, expected) << list;
}

TEST_F(RecipeFile, GivesItsSeedToTheData) { EXPECT_EQ(read("seed = 7").data.seed, 7u); }

TEST_F(RecipeFile, TakesAnIntegerForANumber) {
  EXPECT_EQ(read("[teacher]\nlearning_rate = 1\n").teacher.learning_rate, 1.0);
}

// ---- One that extends another --------------------------------------------------------------------

class ExtendingRecipe : public RecipeFile {
 protected:
  ExtendingRecipe() { fs::create_directory(folder_ / "base"); }

  /// A file for others to extend.
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
};

TEST_F(ExtendingRecipe, TakesWhatItDoesNotSayFromTheOther) {
  write("base/c.toml", "seed = 3\n[teacher]\nbatch_size = 32\nepochs = 4\n");
  write("base/b.toml", "extends = \"c.toml\"\n[teacher]\nepochs = 5\n[map]\nepochs = 6\n");
  const auto recipe = read("extends = \"base/b.toml\"\n[map]\nepochs = 8\n", {"hybrid.epochs=9"});
  EXPECT_EQ(recipe.seed, 3u);
  EXPECT_EQ(recipe.data.seed, 3u);
  EXPECT_EQ(recipe.teacher.batch_size, 32);
  EXPECT_EQ(recipe.teacher.epochs, 5);
  EXPECT_EQ(recipe.map.epochs, 8);
  EXPECT_EQ(recipe.hybrid.epochs, 9);
}

TEST_F(ExtendingRecipe, HasANameOfItsOwn) {
  write("a.toml", "name = \"base\"\n");
  EXPECT_EQ(read("extends = \"a.toml\"\n").name, "x");
  EXPECT_EQ(read("extends = \"a.toml\"\nname = \"own\"\n").name, "own");
  EXPECT_EQ(read("extends = \"a.toml\"\n", {"name=other"}).name, "other");
  write("two words.toml", "extends = \"a.toml\"\n");
  try {
    read_recipe(folder_ / "two words.toml");
    FAIL() << "took a name that no run may have";
  } catch (const RecipeError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("two words.toml: name is \"two words\", expected 1 to 100 letters"),
                                    HasSubstr("give the recipe a name")));
  }
}

TEST_F(ExtendingRecipe, LooksForAModelFromTheFolderOfTheFileThatNamesIt) {
  write("base/b.toml", "[network]\nmodel = \"none.safetensors\"\n");
  try {
    read("extends = \"base/b.toml\"\n");
    FAIL() << "read a model that is not there";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr((folder_ / "base/none.safetensors").string()));
  }
}

TEST_F(ExtendingRecipe, PutsAsideWhatExcludesItsOwnSettings) {
  write("incubate.toml", "[pipeline]\nincubate = [1]\n");
  write("blocks.toml", "[pipeline]\nblocks = [1, 1, 1, 0]\nblock_width = [8, 0, 0, 0]\n");
  const auto blocks = read("extends = \"incubate.toml\"\n[pipeline]\nblocks = [2, 2, 2, 0]\n").pipeline;
  EXPECT_EQ(blocks.blocks, (Integers{2, 2, 2, 0}));
  EXPECT_TRUE(blocks.incubate_default);
  for (const auto& incubate : {read("extends = \"blocks.toml\"\n[pipeline]\nincubate = [2]\n").pipeline,
                               read("extends = \"blocks.toml\"\n", {"pipeline.incubate=[2]"}).pipeline}) {
    EXPECT_EQ(incubate.incubate, Integers{2});
    EXPECT_TRUE(incubate.blocks.empty());
    EXPECT_EQ(incubate.block_width, Integers{0});
  }
  EXPECT_EQ(read("extends = \"incubate.toml\"\n[pipeline]\nblocks = []\n").pipeline.incubate, Integers{1});
  EXPECT_THAT(error_of("[pipeline]\nincubate = [1]\nblocks = [1, 1, 1, 0]\n"), HasSubstr("are both given"));
  EXPECT_EQ(read("extends = \"blocks.toml\"\n[pipeline]\nblocks = []\n").pipeline.block_width, Integers{0});
  EXPECT_THAT(error_of("extends = \"blocks.toml\"\n[pipeline]\nincubate = [2]\nblock_width = 8\n"),
              HasSubstr("expected pipeline.blocks beside it"));
}

TEST_F(ExtendingRecipe, NamesTheOtherFileWhereTheMistakeIsThere) {
  write("a.toml", "\n[teacher]\nepochs = 0\n");
  EXPECT_EQ(error_of("extends = \"a.toml\"\n"), "a.toml:3: teacher.epochs is 0, expected 1 to 100000");
  write("a.toml", "[flow\n");
  EXPECT_THAT(error_of("extends = \"a.toml\"\n"), testing::StartsWith("a.toml:1: not TOML"));
}

TEST_F(ExtendingRecipe, NamesBothWhereTheMistakeIsBetweenThem) {
  write("a.toml", "[flow]\nhidden = [1, 2, 3, 4]\n");
  const auto error = error_of("extends = \"a.toml\"\n[network]\narch = \"resnet20\"\n");
  EXPECT_THAT(error, AllOf(testing::StartsWith("a.toml:2: flow.hidden has 4 entries"), HasSubstr("it is extended by "),
                           testing::EndsWith("x.toml")));
}

TEST_F(ExtendingRecipe, RefusesToExtendWhatIsNoRecipe) {
  EXPECT_EQ(error_of("\nextends = 3\n"), "x.toml:2: extends is 3, expected a recipe's file in quotes");
  EXPECT_EQ(error_of("extends = \"\"\n"), "x.toml:1: extends is \"\", expected a recipe's file in quotes");
  EXPECT_THAT(error_of("extends = \"b.toml\"\n"),
              AllOf(testing::StartsWith("x.toml:1: extends: "), HasSubstr("b.toml: no such recipe")));
  EXPECT_THAT(error_of("extends = \"base\"\n"), HasSubstr("is a folder, expected a recipe file"));
  EXPECT_THAT(error_of("extends = \"/dev/zero\"\n"), HasSubstr("\"/dev/zero\", which is no file"));
  write("a.toml", "extends = \"x.toml\"\n");
  EXPECT_EQ(error_of("extends = \"a.toml\"\n"), "a.toml:1: extends is \"x.toml\", but that recipe extends this one");
  EXPECT_EQ(error_of("extends = \"x.toml\"\n"), "x.toml:1: extends is \"x.toml\", but that recipe extends this one");
}

TEST_F(RecipeFile, KnowsWhereExtendsBelongs) {
  EXPECT_EQ(error_of("[teacher]\nextends = \"a.toml\"\n"),
            "x.toml:2: unknown key teacher.extends; extends belongs at the top, before any section");
  EXPECT_EQ(error_of("extend = \"a.toml\"\n"), "x.toml:1: unknown key extend; did you mean extends?");
  EXPECT_EQ(error_of("", {"extends=a.toml"}),
            "--set extends=a.toml: a recipe is extended by a file, at its top: extends = \"a.toml\"");
}

// Each goes to a folder of its own.
TEST(ShippedRecipes, AllReadAndHaveDistinctNames) {
  std::set<std::string> names;
  for (const auto& item : fs::recursive_directory_iterator(fs::path(MFI_SOURCE_DIR) / "recipes")) {
    if (item.path().extension() != ".toml") continue;
    SCOPED_TRACE(item.path());
    ASSERT_NO_THROW(EXPECT_TRUE(names.insert(read_recipe(item.path()).name).second));
  }
  EXPECT_GE(names.size(), 15u);
}

TEST(ShippedRecipes, OfThePaperKeepItsSettings) {
  for (const auto* name : {"cifar10-resnet34", "cifar10-resnet50", "cifar100-resnet34", "cifar100-resnet50"}) {
    SCOPED_TRACE(name);
    const auto recipe = read_recipe(fs::path(MFI_SOURCE_DIR) / "recipes/paper" / (std::string(name) + ".toml"));
    for (const auto* step : {&recipe.map, &recipe.meta, &recipe.incubate, &recipe.hybrid}) {
      EXPECT_EQ(step->optimiser, "adamw");
      EXPECT_EQ(step->weight_decay, 0.01);
      EXPECT_EQ(step->schedule, "cosine");
      EXPECT_EQ(step->batch_size, 128);
    }
    EXPECT_EQ(recipe.map.learning_rate, 2e-4);
    EXPECT_EQ(recipe.map.epochs, 300);
    EXPECT_EQ(recipe.meta.learning_rate, 1e-3);
    EXPECT_EQ(recipe.meta.epochs, 100);
    EXPECT_EQ(recipe.incubate.epochs, 200);
    EXPECT_EQ(recipe.hybrid.epochs, 100);
    EXPECT_EQ(recipe.meta_parts.train, "velocity");
    EXPECT_EQ(recipe.objective.endpoint, 0);
    // So that a machine can try the full-size network through every step.
    EXPECT_NO_THROW(read_recipe(fs::path(MFI_SOURCE_DIR) / "recipes/paper" / (std::string(name) + ".toml"),
                                {"teacher.epochs=1", "map.epochs=1", "meta.epochs=1", "incubate.epochs=1",
                                 "hybrid.epochs=1", "data.limit=512"}));
  }
}

// ---- Mistakes ------------------------------------------------------------------------------------

TEST_F(RecipeFile, NamesFileLineKeyValueAndRange) {
  EXPECT_EQ(error_of("name = \"a\"\n[flow]\n\ndepth = 0\n"),
            "x.toml:4: flow.depth is 0, expected entries 1 to 16; one for all stages, or one a stage");
  EXPECT_EQ(error_of("[teacher]\nepochs = 0\n"), "x.toml:2: teacher.epochs is 0, expected 1 to 100000");
}

TEST_F(RecipeFile, NamesTheKeyNearestToAnUnknownOne) {
  EXPECT_EQ(error_of("[teacher]\nepoch = 3\n"), "x.toml:2: unknown key teacher.epoch; did you mean teacher.epochs?");
  EXPECT_EQ(error_of("sed = 3\n"), "x.toml:1: unknown key sed; did you mean seed?");
}

TEST_F(RecipeFile, NamesTheSectionThatAKeyBelongsIn) {
  EXPECT_EQ(error_of("[map]\nlabel_smoothing = 0.1\n"),
            "x.toml:2: unknown key map.label_smoothing; label_smoothing belongs in [teacher] or in [meta] "
            "or in [incubate] or in [hybrid]");
  EXPECT_EQ(error_of("[data]\nseed = 1\n"),
            "x.toml:2: unknown key data.seed; seed belongs at the top, before any section");
}

TEST_F(RecipeFile, ListsTheKeysOfASectionWhenNoneIsNear) {
  EXPECT_EQ(error_of("[data]\nbrightness = 3\n"),
            "x.toml:2: unknown key data.brightness; [data] has dataset, validation, labelled, limit, image_size, "
            "resize, crop, "
            "test, cache, "
            "augment, least_area");
}

TEST_F(RecipeFile, NamesTheSectionNearestToAnUnknownOne) {
  EXPECT_EQ(error_of("[teachers]\nepochs = 3\n"), "x.toml:1: unknown section teachers; did you mean teacher?");
  EXPECT_THAT(error_of("\n[zzzzzz]\n"), HasSubstr("x.toml:2: unknown section zzzzzz; the sections are data, "));
}

TEST_F(RecipeFile, RefusesASectionThatIsAValueAndAValueThatIsASection) {
  EXPECT_EQ(error_of("teacher = 3\n"), "x.toml:1: teacher is 3, expected a section [teacher]");
  EXPECT_THAT(error_of("[[teacher]]\nepochs = 3\n"), HasSubstr("teacher is a list of sections, expected a section"));
  EXPECT_THAT(error_of("[teacher.epochs]\n"), HasSubstr("x.toml:1: teacher.epochs is a section, expected an integer"));
}

TEST_F(RecipeFile, NamesTheLineThatIsNotToml) {
  EXPECT_THAT(error_of("seed = 1\nname = \n"), HasSubstr("x.toml:2: not TOML: "));
  EXPECT_THAT(error_of("seed = 1\nseed = 2\n"), HasSubstr("x.toml:2: not TOML: "));
  EXPECT_THAT(error_of(std::string("a\0b\xff\xfe", 5)), HasSubstr("x.toml:1: not TOML: "));
}

TEST_F(RecipeFile, ReportsTheFirstMistakeInTheFile) {
  EXPECT_THAT(error_of("[teacher]\nepochs = 0\n[flow]\ndepth = 0\n"), HasSubstr("x.toml:2: teacher.epochs"));
  EXPECT_THAT(error_of("[flow]\ndepth = 0\n[teacher]\nepochs = 0\n"), HasSubstr("x.toml:2: flow.depth"));
}

TEST_F(RecipeFile, NamesTheArchNearestToAnUnknownOne) {
  const auto message = error_of("[network]\narch = \"resnet344\"\n");
  EXPECT_THAT(message, HasSubstr("x.toml:2: network.arch is \"resnet344\", expected "));
  EXPECT_THAT(message, HasSubstr("; did you mean resnet34?"));
}

TEST_F(RecipeFile, NamesTheOverrideThatIsWrong) {
  EXPECT_EQ(error_of("", {"teacher.epoch=3"}),
            "--set teacher.epoch=3: unknown key teacher.epoch; did you mean teacher.epochs?");
  EXPECT_EQ(error_of("", {"flow.depth=0"}),
            "--set flow.depth=0: flow.depth is 0, expected entries 1 to 16; one for all stages, or one a stage");
  EXPECT_EQ(
      error_of("", {"flow.depth=two"}),
      "--set flow.depth=two: flow.depth is \"two\", expected an integer or a list of them (entries 1 to 16; one for "
      "all stages, or one a stage)");
  EXPECT_EQ(error_of("", {"flow.depth"}), "--set flow.depth: expected section.key=value");
  EXPECT_EQ(error_of("", {"=3"}), "--set =3: expected section.key=value");
  EXPECT_EQ(error_of("", {"flow=3"}), "--set flow=3: flow is a section, expected section.key=value");
  EXPECT_THAT(error_of("", {"flow.depth="}), HasSubstr("flow.depth is \"\", expected an integer"));
  // A value cannot smuggle in a second key.
  EXPECT_THAT(error_of("", {"flow.depth=1\nseed=2"}), HasSubstr("expected an integer"));
}

TEST_F(RecipeFile, ComparesListsWithTheNumberOfStages) {
  EXPECT_EQ(error_of("[network]\narch = \"resnet20\"\n[flow]\nhidden = [8, 8, 8, 8]\n"),
            "x.toml:4: flow.hidden has 4 entries, expected 1 or 3 (resnet20 has 3 stages)");
  EXPECT_EQ(error_of("[flow]\nhidden = [8, 8, 8, 8]\n", {"network.arch=resnet20"}),
            "x.toml:2: flow.hidden has 4 entries, expected 1 or 3 (resnet20 has 3 stages)");
  EXPECT_EQ(error_of("", {"flow.steps=[1, 2]"}),
            "--set flow.steps=[1, 2]: flow.steps has 2 entries, expected 1 or 4 (resnet34 has 4 stages)");
  EXPECT_THAT(error_of("[flow]\nmodules = []\n"), HasSubstr("x.toml:2: flow.modules is [], expected entries 0 to 16"));
}

TEST_F(RecipeFile, ComparesEveryListOfStagesWithTheirNumber) {
  for (const auto& entry : recipe_entries()) {
    if (!entry.is_per_stage) continue;
    auto value = recipe_value_text(entry.default_value);
    value = value.substr(1, value.size() - 2);
    EXPECT_EQ(error_of(setting(entry, "[" + value + ", " + value + "]")),
              "x.toml:2: " + entry.key.path + " has 2 entries, expected 1 or 4 (resnet34 has 4 stages)");
  }
}

TEST_F(RecipeFile, NamesTheVelocityNetworkNearestToAnUnknownOne) {
  const std::string range =
      "expected entries bottleneck, pointwise or depthwise; one for all stages, or one a stage; did you mean "
      "depthwise?";
  EXPECT_EQ(error_of("[flow]\nvelocity = \"depthwize\"\n"), "x.toml:2: flow.velocity is \"depthwize\", " + range);
  EXPECT_EQ(error_of("[flow]\nvelocity = [\"pointwise\", \"depthwize\"]\n"),
            "x.toml:2: flow.velocity is [\"pointwise\", \"depthwize\"], " + range);
  EXPECT_THAT(error_of("", {"flow.velocity=pointwise\nseed=2"}),
              HasSubstr("flow.velocity is \"pointwise\\u000aseed=2\""));
  EXPECT_THAT(
      error_of("[flow]\nvelocity = 3\n"),
      HasSubstr("x.toml:2: flow.velocity is 3, expected a text in quotes or a list of them (entries bottleneck"));
}

TEST_F(RecipeFile, RefusesAKernelThatNoStageHas) {
  EXPECT_EQ(error_of("[flow]\nvelocity = \"pointwise\"\nkernel = 5\n"),
            "x.toml:3: flow.kernel is [5], but flow.velocity is pointwise in every stage, which looks at one pixel");
  EXPECT_EQ(
      error_of("", {"flow.velocity=pointwise", "flow.dilation=2"}),
      "--set flow.dilation=2: flow.dilation is [2], but flow.velocity is pointwise in every stage, which looks at "
      "one pixel");
  EXPECT_NO_THROW(read("", {"flow.velocity=[pointwise, depthwise, depthwise, pointwise]", "flow.kernel=5"}));
}

TEST_F(RecipeFile, RefusesToLearnTheLengthOfTheOnlyStep) {
  EXPECT_EQ(
      error_of("[flow]\nmodules = 1\nstep_lengths = \"learned\"\n"),
      "x.toml:3: flow.step_lengths is [\"learned\"], but no flow stage of these takes more than one step, which is "
      "its whole path; expected flow.steps of 2 or more there");
  for (const char* several : {"flow.modules=2", "flow.steps=4", "search.steps=[1, 2]", "search.modules=[2]"})
    EXPECT_NO_THROW(read("", {"flow.modules=1", "flow.step_lengths=learned", several})) << several;
  EXPECT_NO_THROW(read("", {"flow.step_lengths=learned"})) << "the last stage has two modules";
  EXPECT_THROW(read("", {"flow.step_lengths=[learned, equal, equal, equal]"}), RecipeError);
  EXPECT_THROW(read("", {"flow.step_lengths=learned", "pipeline.blocks=[0, 0, 0, 1]"}), RecipeError);
}

TEST_F(RecipeFile, WantsDistinctStagesToIncubate) {
  EXPECT_EQ(error_of("[pipeline]\nincubate = [1, 5]\n"),
            "x.toml:2: pipeline.incubate names stage 5, expected 1 to 4 (resnet34 has 4 stages)");
  for (const auto* list : {"[0]", "[2, 1, 2]", "[-1]"})
    EXPECT_EQ(
        error_of(std::string("[pipeline]\nincubate = ") + list + "\n"),
        std::string("x.toml:2: pipeline.incubate is ") + list + ", expected distinct stages of the network, from 1");
}

TEST_F(RecipeFile, WantsWholeStepsAModule) {
  EXPECT_EQ(error_of("[flow]\nsteps = [1]\n"),  // the last stage has two modules
            "x.toml:2: flow.steps is 1 for stage 4, expected a multiple of its 2 modules");
  EXPECT_EQ(error_of("[objective]\nendpoint_steps = 3\n"),
            "x.toml:2: objective.endpoint_steps is 3 for stage 4, expected a multiple of its 2 modules");
  EXPECT_NO_THROW(read("", {"objective.endpoint_steps=3", "flow.steps=1", "pipeline.blocks=[0, 0, 0, 2]"}))
      << "of a stage that keeps blocks";
  EXPECT_NO_THROW(read("[flow]\nmodules = [1]\nsteps = [3]\n"));
}

TEST_F(RecipeFile, WantsTheWarmupWithinTheStep) {
  EXPECT_EQ(error_of("[hybrid]\nepochs = 2\nwarmup_epochs = 2.5\n"),
            "x.toml:3: hybrid.warmup_epochs is 2.5, expected at most hybrid.epochs, 2");
}

TEST_F(RecipeFile, WantsSomethingToMinimise) {
  EXPECT_THAT(error_of("[objective]\nmeanflow = 0\nendpoint = 0\n"), HasSubstr("x.toml:2: objective.meanflow, "));
  EXPECT_NO_THROW(read("[objective]\nmeanflow = 0\nendpoint = 0\nregression = 1\n"));
}

TEST_F(RecipeFile, RefusesAnotherTypeForEveryKey) {
  for (const auto& entry : recipe_entries()) {
    const auto type = entry.default_value.index();
    // As 0 boolean, 1 integer, 2 number, 3 text, 4 list of integers, 5 of texts; an integer is a number too.
    const std::pair<size_t, std::string> values[] = {{0, "true"},      {1, "1"},          {2, "1.5"},   {3, "\"1\""},
                                                     {4, "[1]"},       {6, "1979-05-27"}, {6, "[1.5]"}, {6, "[[1]]"},
                                                     {6, "{ a = 1 }"}, {6, "[1, \"1\"]"}};
    for (const auto& [is, value] : values) {
      if (is == type || (is == 1 && type == 2)) continue;
      if (is == 1 && type == 4 && entry.takes_one_value) continue;
      EXPECT_THAT(error_of(setting(entry, value)), HasSubstr(": " + entry.key.path + " is ")) << value;
    }
  }
}

TEST_F(RecipeFile, RefusesWhatIsNotFiniteForEveryNumber) {
  for (const auto& entry : recipe_entries()) {
    if (!std::holds_alternative<double>(entry.default_value)) continue;
    for (const auto* value : {"nan", "inf", "-inf", "-1e300"})
      EXPECT_THAT(error_of(setting(entry, value)), HasSubstr(entry.key.path + " is ")) << value;
  }
}

struct Edge {
  const char* key;
  RecipeValue inside, outside;
};

TEST(RecipeRanges, EndWhereTheySay) {
  const auto below_one = std::nextafter(1.0, 0.0);
  const auto tiny = std::numeric_limits<double>::min();
  const Edge edges[] = {
      {"seed", int64_t{0}, int64_t{-1}},
      {"data.validation", 0.5, 0.500001},
      {"data.limit", int64_t{0}, int64_t{-1}},
      {"network.width", int64_t{4096}, int64_t{4097}},
      {"flow.hidden", Integers{0, 16384}, Integers{0, 16385}},
      {"flow.depth", Integers{16}, Integers{17}},
      {"flow.kernel", Integers{3, 5, 7}, Integers{3, 4}},
      {"flow.kernel", Integers{7}, Integers{9}},
      {"flow.dilation", Integers{1, 2, 4}, Integers{3}},
      {"flow.velocity", Texts{"pointwise", "depthwise"}, Texts{"pointwise", "deepwise"}},
      {"flow.downsampling", Texts{"average"}, Texts{}},
      {"flow.modules", Integers{16}, Integers{17}},
      {"flow.steps", Integers{64}, Integers{-1}},
      {"flow.alignment", Integers{3}, Integers{2}},
      {"teacher.epochs", int64_t{1}, int64_t{0}},
      {"teacher.batch_size", int64_t{1}, int64_t{0}},
      {"map.learning_rate", tiny, 0.0},
      {"meta.weight_decay", 0.0, -tiny},
      {"incubate.momentum", below_one, 1.0},
      {"hybrid.label_smoothing", below_one, 1.0},
      {"hybrid.ema", 0.0, -tiny},
      {"hybrid.distillation", 1.0, 1.000001},
      {"hybrid.temperature", tiny, 0.0},
      {"hybrid.warmup_epochs", 0.0, -tiny},
      {"objective.power", 2.0, 2.000001},
      {"controls.distillation", tiny, 0.0},
      {"controls.temperature", 1000.0, 1000.001},
      {"objective.r_equals_t", 1.0, 1.000001},
      {"objective.time_stddev", 10.0, 0.0},
      {"name", std::string(100, 'a'), std::string(101, 'a')},
      {"name", std::string("a.b_c-1"), std::string("../a")},
      {"name", std::string("0"), std::string("")},
      {"runtime.device", std::string("cuda"), std::string("CPU")},
  };
  for (const auto& edge : edges) {
    const auto& entries = recipe_entries();
    const auto entry =
        std::find_if(entries.begin(), entries.end(), [&](const auto& item) { return item.key.path == edge.key; });
    ASSERT_NE(entry, entries.end()) << edge.key;
    EXPECT_EQ(range_problem(*entry, edge.inside), "");
    EXPECT_THAT(range_problem(*entry, edge.outside), HasSubstr(std::string(edge.key) + " is ")) << edge.key;
  }
}

TEST(RecipeValidate, NamesTheFieldOfARecipeMadeInCode) {
  Recipe recipe;
  recipe.flow.depth = {0};
  try {
    recipe.validate();
    FAIL() << "accepted";
  } catch (const RecipeError& error) {
    EXPECT_STREQ(error.what(), "flow.depth is [0], expected entries 1 to 16; one for all stages, or one a stage");
    EXPECT_EQ(error.exit_code(), ExitCode::recipe);
  }
}

// ---- Files ---------------------------------------------------------------------------------------

TEST_F(RecipeFile, ThatIsMissingNamesTheNearestInItsFolder) {
  read("");
  std::ofstream(folder_ / "sample.toml") << "";
  try {
    read_recipe(folder_ / "sampel.toml");
    FAIL() << "read a file that is not there";
  } catch (const NotFoundError& error) {
    const auto folder = folder_.string();
    EXPECT_EQ(error.what(), folder + "/sampel.toml: no such recipe; did you mean " + folder + "/sample.toml?");
  }
}

TEST_F(RecipeFile, InAFolderThatIsMissingSaysSo) {
  try {
    read_recipe(folder_ / "none" / "x.toml");
    FAIL() << "read a file that is not there";
  } catch (const NotFoundError& error) {
    EXPECT_THAT(error.what(), HasSubstr("there is no folder " + (folder_ / "none").string()));
  }
}

TEST_F(RecipeFile, ThatIsAFolderIsRefused) { EXPECT_THROW(read_recipe(folder_), NotFoundError); }

TEST_F(RecipeFile, OfMoreThanAMebibyteIsRefused) {
  EXPECT_THAT(error_of(std::string((1 << 20) + 1, '#')), HasSubstr("x.toml: is larger than 1 MiB"));
}

}  // namespace
}  // namespace mfi
