#include "mfi/data/picture_list.h"

#include <gmock/gmock.h>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Tree : public FileTree {
 public:
  explicit Tree(std::vector<std::pair<std::string, std::string>> files) : files_(std::move(files)) {
    std::sort(files_.begin(), files_.end());
    for (const auto& [name, bytes] : files_) names_.push_back(name);
  }
  std::string read(size_t index) const override { return files_[index].second; }

 private:
  std::vector<std::pair<std::string, std::string>> files_;
};

Tree tree(const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& name : names) files.emplace_back(name, "");
  return Tree(files);
}

// "NAME label" of each.
std::vector<std::string> texts(const FileTree& tree, const std::vector<LabelledPicture>& pictures) {
  std::vector<std::string> out;
  for (const auto& p : pictures) out.push_back(tree.names()[p.file] + " " + std::to_string(p.label));
  return out;
}

std::string refusal(const FileTree& tree) {
  return message_of<DataError>([&] { list_pictures(tree, "DIR", 0.2, 0); });
}

TEST(PictureList, TakesPartsAndClassesFromFolders) {
  const auto t = tree(
      {"train/cat/1.jpg", "train/cat/deep/2.JPEG", "train/ant/3.png", "val/cat/4.webp", "test/ant/5.png", "notes.txt"});
  const auto list = list_pictures(t, "DIR", 0.2, 0);
  EXPECT_THAT(list.class_names, ElementsAre("ant", "cat"));
  EXPECT_THAT(texts(t, list.train), ElementsAre("train/ant/3.png 0", "train/cat/1.jpg 1", "train/cat/deep/2.JPEG 1"));
  EXPECT_THAT(texts(t, list.validation), ElementsAre("val/cat/4.webp 1"));
  EXPECT_THAT(texts(t, list.test), ElementsAre("test/ant/5.png 0"));
  EXPECT_THAT(list.passed_over, ElementsAre("notes.txt"));
}

TEST(PictureList, IsJudgedOnValWhereThatIsAllThereIs) {
  const auto t = tree({"imagenette/train/a/1.jpg", "imagenette/train/b/1.jpg", "imagenette/val/a/2.jpg"});
  const auto list = list_pictures(t, "DIR", 0.2, 0);
  EXPECT_THAT(texts(t, list.test), ElementsAre("imagenette/val/a/2.jpg 0"));
  EXPECT_TRUE(list.validation.empty());
}

TEST(PictureList, LooksIntoFoldersAroundEverything) {
  const auto t = tree({"README.txt", "a/b/rose/1.png", "a/b/rose/2.png", "a/b/tulip/1.png", "a/notes.md"});
  const auto list = list_pictures(t, "DIR", 0.34, 0);
  EXPECT_THAT(list.class_names, ElementsAre("rose", "tulip"));
  EXPECT_THAT(list.passed_over, ElementsAre("README.txt", "a/notes.md"));
}

TEST(PictureList, HoldsOutAShareOfEachClassWhereThereAreNoParts) {
  std::vector<std::string> names;
  for (int i = 10; i < 30; ++i)
    for (const char* c : {"a/", "b/"}) names.push_back(c + std::to_string(i) + ".png");
  const auto t = tree(names);
  const auto list = list_pictures(t, "DIR", 0.25, 1), again = list_pictures(t, "DIR", 0.25, 1),
             other = list_pictures(t, "DIR", 0.25, 2);
  EXPECT_EQ(list.test.size(), 10u);
  EXPECT_EQ(list.train.size(), 30u);
  EXPECT_EQ(std::count_if(list.test.begin(), list.test.end(), [](const auto& p) { return p.label == 0; }), 5);
  EXPECT_EQ(texts(t, list.test), texts(t, again.test));
  EXPECT_NE(texts(t, list.test), texts(t, other.test));
}

TEST(PictureList, NeedsNothingToTrainOnToBeJudgedOn) {
  const auto flat = tree({"a/1.png", "a/2.png", "b/3.png"}), val = tree({"val/a/1.png", "val/b/2.png"});
  const auto all = list_pictures(flat, "DIR", 1, 0, /*to_train_on=*/false);
  EXPECT_EQ(all.test.size(), 3u);
  EXPECT_TRUE(all.train.empty());
  EXPECT_EQ(list_pictures(val, "DIR", 0.2, 0, /*to_train_on=*/false).test.size(), 2u);
  EXPECT_THAT(refusal(val), HasSubstr("no pictures to train on"));
}

TEST(PictureList, ReadsLabelsFromMetadata) {
  const Tree t({{"train/metadata.csv",
                 "\xEF\xBB\xBF"
                 "label,file_name,note\r\n10,x/1.png,\"a, \"\"b\"\"\nc\"\r\n2,2.png,\r\n"},
                {"train/x/1.png", ""},
                {"train/2.png", ""},
                {"test/metadata.csv", "file_name,label\n3.png,2\n"},
                {"test/3.png", ""}});
  const auto list = list_pictures(t, "DIR", 0.2, 0);
  EXPECT_THAT(list.class_names, ElementsAre("2", "10"));  // by their value
  EXPECT_THAT(texts(t, list.train), ElementsAre("train/2.png 0", "train/x/1.png 1"));
}

TEST(PictureList, ReadsLabelsOfAllPartsFromOneTable) {
  const Tree t({{"metadata.csv", "file_name,label\ntrain/batch1/1.png,cat\ntrain/2.png,dog\ntest/3.png,cat\n"},
                {"train/batch1/1.png", ""},
                {"train/2.png", ""},
                {"test/3.png", ""}});
  const auto list = list_pictures(t, "DIR", 0.2, 0);
  EXPECT_THAT(list.class_names, ElementsAre("cat", "dog"));
  EXPECT_THAT(texts(t, list.train), ElementsAre("train/2.png 1", "train/batch1/1.png 0"));
  EXPECT_THAT(texts(t, list.test), ElementsAre("test/3.png 0"));
}

TEST(PictureList, SaysWhatIsNotRight) {
  for (const char* where : {"train/a/1.png", "a/1.png", "all/a/1.png"})
    EXPECT_THAT(refusal(tree({"README", where})), HasSubstr("DIR: all pictures are of one class, 'a'")) << where;
  EXPECT_THAT(refusal(tree({"M\xfcller/1.png", "a/2.png"})), HasSubstr("/1.png: the name of its class, 'M"));
  EXPECT_THAT(refusal(tree({"readme.md"})), HasSubstr("DIR: no pictures found"));
  EXPECT_THAT(refusal(tree({"train/a/1.png", "train/b/2.png"})), HasSubstr("no pictures to test on"));
  EXPECT_THAT(refusal(tree({"test/a/1.png", "train/b/2.png"})), HasSubstr("the class 'a' has no pictures to train on"));
  EXPECT_THAT(refusal(tree({"a/1.png", "1.png", "b/2.png"})), HasSubstr("DIR/1.png: lies in no class's folder"));
  EXPECT_THAT(refusal(tree({"train/a/1.png", "test/a/1.png", "b/2.png"})), HasSubstr("DIR/b/2.png: lies beside"));
  EXPECT_THAT(refusal(Tree({{"metadata.csv", "name,class\n"}, {"1.png", ""}})),
              HasSubstr("has the columns name, class"));
  EXPECT_THAT(refusal(Tree({{"metadata.csv", "file_name,label\n2.png,a\n"}, {"1.png", ""}, {"2.png", ""}})),
              HasSubstr("does not name it"));
  EXPECT_THAT(refusal(Tree({{"metadata.csv", "file_name,label\n2.png,a\n1.png,a\n3.png,b\n"}, {"1.png", ""}})),
              HasSubstr("names 2 files that are not there, the first 2.png"));
  EXPECT_THAT(refusal(Tree({{"metadata.csv", "file_name,label\n1.png,a\n1.png,b\n"}, {"1.png", ""}})),
              HasSubstr("names 1.png twice"));
  EXPECT_THAT(refusal(Tree({{"metadata.csv", "file_name,label\n1.png\n"}, {"1.png", ""}})),
              HasSubstr("record 2 has 1 fields"));
}

TEST(UnlabelledPictures, LieWhereverTheyLie) {
  const auto t = tree({"1.jpg", "train/cat/2.png", "deep/er/3.webp", "metadata.csv", "notes.txt"});
  const auto list = list_unlabelled(t, "DIR");
  EXPECT_THAT(texts(t, list.train), ElementsAre("1.jpg -100", "deep/er/3.webp -100", "train/cat/2.png -100"));
  EXPECT_TRUE(list.test.empty());
  EXPECT_TRUE(list.class_names.empty());
  EXPECT_THAT(list.passed_over, ElementsAre("metadata.csv", "notes.txt"));
  EXPECT_THAT(message_of<DataError>([] { list_unlabelled(tree({"notes.txt"}), "DIR"); }),
              HasSubstr("DIR: no pictures found"));
}

}  // namespace
}  // namespace mfi
