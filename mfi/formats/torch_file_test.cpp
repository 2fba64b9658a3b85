#include "mfi/formats/torch_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/formats/archive_names.h"
#include "mfi/formats/pickle_words.h"

namespace mfi {
namespace {

using namespace pickled;
using Files = std::vector<std::pair<std::string, std::string>>;

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string zip(const Files& files, bool compressed = false) {
  const Utf8Names utf8_names;
  std::string bytes(1 << 22, '\0');
  size_t used = 0;
  archive* out = archive_write_new();
  archive_write_set_format_zip(out);
  archive_write_set_bytes_in_last_block(out, 1);
  archive_write_set_options(out, compressed ? "zip:compression=deflate" : "zip:compression=store");
  EXPECT_EQ(archive_write_open_memory(out, bytes.data(), bytes.size(), &used), ARCHIVE_OK);
  for (const auto& [name, content] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(out, entry);
    archive_write_data(out, content.data(), content.size());
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
  return bytes.substr(0, used);
}

// As torch.save writes it: two tensors over one storage of six numbers, the second one a column of the first.
std::string two_tensors() {
  const auto s = storage("Float", "0", 6);
  return "\x80\x02" +
         dict(text("epoch") + integer(12) + text("state_dict") +
              dict(text("a") + tensor(s, 0, integer(2) + integer(3), integer(3) + integer(1)) + text("b") +
                   tensor(s, 1, integer(2), integer(3)))) +
         stop();
}
const std::vector<float> kSix{0, 1, 2, 3, 4, 5};

std::string zip_file(const std::string& pickle, const std::string& data = floats(kSix)) {
  return zip({{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}, {"archive/data/0", data}});
}

std::string legacy_file(const std::string& pickle, const Files& storages, int32_t element_bytes = 4) {
  const std::string magic =
      "\x80\x02\x8a\x0al\xfc\x9c"
      "F\xf9 j\xa8P\x19.";
  std::string keys, data;
  for (const auto& [key, bytes] : storages) {
    keys += text(key);
    data += raw(static_cast<int64_t>(bytes.size()) / element_bytes) + bytes;
  }
  return magic + "\x80\x02M\xe9\x03." + "\x80\x02" + dict(text("little_endian") + "\x88") + stop() + pickle +
         "\x80\x02" + list(keys) + stop() + data;
}

float value_at(const StoredTensor& tensor, int64_t element) {
  float value;
  std::memcpy(&value, tensor.storage + (tensor.offset + element) * 4, sizeof value);
  return value;
}

std::string message_of(const std::string& bytes) {
  try {
    parse_torch_file(bytes, "net.pth");
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

void expect_two_tensors(const TorchFile& file) {
  ASSERT_EQ(file.state_dicts.size(), 1u);
  const auto& dict = file.state_dicts[0];
  EXPECT_EQ(dict.key, "state_dict");
  ASSERT_EQ(dict.tensors.size(), 2u);
  const auto& [name, column] = dict.tensors[1];
  EXPECT_EQ(name, "b");
  EXPECT_EQ(column.problem, "");
  EXPECT_EQ(column.shape, (std::vector<int64_t>{2}));
  EXPECT_EQ(value_at(column, 0), 1);
  EXPECT_EQ(value_at(column, column.strides[0]), 4);
  EXPECT_EQ(file.notes, (std::vector<std::string>{"epoch 12"}));
}

TEST(TorchFile, ReadsBothLayouts) {
  expect_two_tensors(parse_torch_file(zip_file(two_tensors()), "net.pth"));
  const auto named = zip({{"mod\u00e8le/data.pkl", two_tensors()}, {"mod\u00e8le/data/0", floats(kSix)}});
  expect_two_tensors(parse_torch_file(named, "mod\u00e8le.pth"));
  expect_two_tensors(parse_torch_file(legacy_file(two_tensors(), {{"0", floats(kSix)}}), "net.pth"));
}

TEST(TorchFile, ReadsFilesAsItReadsBytes) {
  const TestFolder folder;
  for (const auto& bytes : {zip_file(two_tensors()), legacy_file(two_tensors(), {{"0", floats(kSix)}})}) {
    const auto path = folder.path() / "net.pth";
    std::ofstream(path, std::ios::binary) << bytes;
    expect_two_tensors(read_torch_file(path));
  }
  EXPECT_THROW(read_torch_file(folder.path() / "none.pth"), NotFoundError);
  EXPECT_THROW(read_torch_file(folder.path()), NotFoundError);
}

TEST(TorchFile, ReadsViewsOfTheOldLayout) {
  const auto viewed = storage("Float", "0", 6, tuple(text("1") + integer(2) + integer(3)));
  const auto file =
      parse_torch_file(legacy_file("\x80\x02" + dict(text("v") + tensor(viewed, 1, integer(2), integer(1))) + stop(),
                                   {{"0", floats(kSix)}}),
                       "net.pth");
  EXPECT_EQ(value_at(file.state_dicts[0].tensors[0].second, 0), 3);
}

TEST(TorchFile, KnowsElementTypes) {
  for (const auto& [type, expected] : {std::pair{"Half", TensorType::f16},
                                       {"BFloat16", TensorType::bf16},
                                       {"Double", TensorType::f64},
                                       {"Long", TensorType::i64},
                                       {"Bool", TensorType::boolean}}) {
    const auto file = parse_torch_file(
        zip_file(dict(text("t") + tensor(storage(type, "0", 2), 0, integer(2), integer(1))) + stop()), "net.pth");
    EXPECT_EQ(file.state_dicts[0].tensors[0].second.type, expected);
  }
}

TEST(TorchFile, TakesParametersAndWholeModulesApart) {
  const auto parameter = [](const std::string& t) {
    return call(global("torch._utils", "_rebuild_parameter"),
                t + "\x88" + call(global("collections", "OrderedDict"), ""));
  };
  const auto ordered = [](const std::string& items) {
    return call(global("collections", "OrderedDict"), "") + (items.empty() ? "" : "(" + items + "u");
  };
  const auto module = [&](const std::string& name, const std::string& parameters, const std::string& modules) {
    return global("net", name) + ")\x81" +
           dict(text("training") + "\x88" + text("_parameters") + ordered(parameters) + text("_buffers") + ordered("") +
                text("_modules") + ordered(modules)) +
           "b";
  };
  const auto weight = parameter(tensor(storage("Float", "0", 6), 0, integer(6), integer(1)));
  const auto file = parse_torch_file(
      zip_file(module("Net", text("scale") + weight,
                      text("fc") + module("Linear", text("weight") + weight + text("bias") + none(), "")) +
               stop()),
      "net.pth");
  ASSERT_EQ(file.state_dicts.size(), 1u);
  std::vector<std::string> names;
  for (const auto& [name, t] : file.state_dicts[0].tensors) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"scale", "fc.weight"}));
}

TEST(TorchFile, PassesOverWhatItDoesNotNeedAndNamesWhatItCannotRead) {
  const auto file = parse_torch_file(
      zip_file(dict(text("args") + call(global("argparse", "Namespace"), "") + text("weights") +
                    dict(text("good") + tensor(storage("Float", "0", 6), 0, integer(6), integer(1)) + text("sparse") +
                         call(global("torch._utils", "_rebuild_sparse_tensor"), integer(1)) + text("complex") +
                         tensor(storage("ComplexFloat", "0", 3), 0, integer(3), integer(1)) + text("lost") +
                         tensor(storage("Float", "7", 3), 0, integer(3), integer(1)))) +
               stop()),
      "net.pth");
  ASSERT_EQ(file.state_dicts.size(), 1u);
  const auto& tensors = file.state_dicts[0].tensors;
  EXPECT_EQ(tensors[0].second.problem, "");
  EXPECT_HAS(tensors[1].second.problem, "torch._utils._rebuild_sparse_tensor");
  EXPECT_HAS(tensors[2].second.problem, "torch.ComplexFloatStorage");
  EXPECT_HAS(tensors[3].second.problem, "'7' is not in the file");
}

// What a dataset's index looks like.
TEST(TorchFile, PassesOverAHundredThousandNamesBesideTheWeights) {
  std::string names;
  for (int i = 0; i < 110'000; ++i) names += text("n" + std::to_string(i)) + integer(i % 7);
  const auto weights = dict(text("good") + tensor(storage("Float", "0", 6), 0, integer(6), integer(1)));
  const auto file =
      parse_torch_file(zip_file(dict(text("index") + dict(names) + text("weights") + weights) + stop()), "net.pth");
  ASSERT_EQ(file.state_dicts.size(), 1u);
  EXPECT_EQ(file.state_dicts[0].key, "weights");
}

// Beside good weights: a log of 150,000 numbers, a dict in itself, settings nested 40 deep.
TEST(TorchFile, PassesOverLongAndDeepValuesBesideTheWeights) {
  std::string numbers, deep = integer(1);
  for (int i = 0; i < 150'000; ++i) numbers += integer(i % 7);
  for (int i = 0; i < 40; ++i) deep = dict(text("in") + deep);
  const auto file =
      parse_torch_file(zip_file(dict(text("losses") + list(numbers) + text("me") + "}q\x01(" + text("me") + "h\x01u" +
                                     text("deep") + deep + text("weights") +
                                     dict(text("good") + tensor(storage("Float", "0", 6), 0, integer(6), integer(1)))) +
                                stop()),
                       "net.pth");
  ASSERT_EQ(file.state_dicts.size(), 1u);
  EXPECT_EQ(file.state_dicts[0].tensors[0].second.problem, "");
}

TEST(TorchFile, RefusesViewsBeyondTheirStorage) {
  struct Case {
    int32_t offset;
    std::string shape, strides;
  };
  for (const auto& c :
       {Case{0, integer(7), integer(1)}, Case{1, integer(6), integer(1)}, Case{0, integer(3), integer(3)},
        Case{-1, integer(1), integer(1)}, Case{0, integer(-1), integer(1)},
        Case{0, integer(1 << 30) + integer(1 << 30) + integer(1 << 30), integer(0) + integer(0) + integer(0)},
        Case{0, integer(1000), integer(0)}, Case{0, integer(2), integer(1) + integer(1)}}) {
    const auto file = parse_torch_file(
        zip_file(dict(text("t") + tensor(storage("Float", "0", 6), c.offset, c.shape, c.strides)) + stop()), "net.pth");
    EXPECT_NE(file.state_dicts[0].tensors[0].second.problem, "");
  }
}

TEST(TorchFile, SaysWhatIsWrongWithAFile) {
  EXPECT_HAS(message_of(""), "net.pth: not a file of PyTorch: empty");
  EXPECT_HAS(message_of("<html>"), "a page or a pointer");
  EXPECT_HAS(message_of("\x1f\x8b rest"), "compressed");
  EXPECT_HAS(message_of("something else"), "neither a zip archive nor a pickle");
  EXPECT_HAS(message_of("\x80\x04N."), "a pickle of Python's own");
  EXPECT_HAS(message_of(zip({{"a.txt", "hello"}})), "without data.pkl");
  EXPECT_HAS(message_of(zip_file(list(integer(1) + integer(2)) + stop())),
             "holds no tensors by name (it is a list of 2)");
  EXPECT_HAS(message_of(zip({{"m/data.pkl", two_tensors()}, {"m/constants.pkl", "N."}})), "TorchScript");
  EXPECT_HAS(message_of(zip({{"m/data.pkl", two_tensors()}, {"m/byteorder", "big"}})), "byte order");
  EXPECT_HAS(message_of(zip({{"m/data.pkl", two_tensors()}, {"m/data/0", std::string(200'000, '\0')}}, true)),
             "torch.save does not compress");
  EXPECT_HAS(message_of(legacy_file(two_tensors(), {{"5", floats(kSix)}})), "belongs to no tensor");
}

TEST(TorchFile, RefusesAFileCutOffAnywhere) {
  for (const auto& whole : {zip_file(two_tensors()), legacy_file(two_tensors(), {{"0", floats(kSix)}})})
    for (size_t size = 0; size < whole.size(); ++size)
      EXPECT_NE(message_of(whole.substr(0, size)), "") << size << " of " << whole.size();
}

TEST(TorchFile, NoticesDamageInAZip) {
  const auto whole = zip_file(two_tensors());
  const auto at = whole.find(floats(kSix));
  ASSERT_NE(at, std::string::npos);
  auto damaged = whole;
  damaged[at + 5] ^= 1;
  EXPECT_HAS(message_of(damaged), "damaged");
}

TEST(TorchFile, WalksNoCirclesForEver) {
  // A module that is its own child; a dict in itself.
  const auto ordered = call(global("collections", "OrderedDict"), "");
  EXPECT_HAS(message_of(zip_file(global("net", "Net") + ")\x81q\x01" +
                                 dict(text("_parameters") + ordered + text("_modules") + dict(text("me") + "h\x01")) +
                                 "b" + stop())),
             "nested too deeply");
  EXPECT_HAS(message_of(zip_file("}q\x01(" + text("me") + "h\x01u" + stop())), "holds no tensors by name");
}

}  // namespace
}  // namespace mfi
