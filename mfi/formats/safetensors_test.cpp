#include "mfi/formats/safetensors.h"

#include <gmock/gmock.h>

#include <cstring>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::AllOf;
using testing::HasSubstr;

template <class T>
TensorBytes tensor(const std::string& name, TensorType type, std::vector<int64_t> shape, const std::vector<T>& values) {
  return {name, type, std::move(shape), reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T)};
}

/// A file with this header and so many zero bytes of data.
std::string file_of(const std::string& header, size_t data_bytes = 0) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, '\0');
}

std::string problem(const std::string& header, size_t data_bytes = 0) {
  return message_of<CheckpointError>([&] { parse_safetensors(file_of(header, data_bytes), "m.safetensors"); });
}

// Written by the Python package safetensors 0.8.0:
//   save({"b": np.array([[1, 2]], "int16"), "a": np.array(1.5, "float32")}, {"k": "v"})
TEST(Safetensors, ReadsAFileInTheReferenceLayout) {
  const std::string header = R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                             R"("b":{"dtype":"I16","shape":[1,2],"data_offsets":[4,8]}}   )";
  std::string bytes = file_of(header);
  const float a = 1.5f;
  const int16_t b[] = {1, 2};
  bytes.append(reinterpret_cast<const char*>(&a), 4).append(reinterpret_cast<const char*>(b), 4);

  const SafetensorsFile file = parse_safetensors(bytes, "reference");

  ASSERT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.metadata.at("k"), "v");
  EXPECT_TRUE(file.find("a")->shape.empty());
  EXPECT_EQ(std::memcmp(file.find("a")->data, &a, 4), 0);
  EXPECT_EQ(file.find("b")->shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(std::memcmp(file.find("b")->data, b, 4), 0);
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST(Safetensors, GivesBackWhatWasWritten) {
  TestFolder folder;
  const std::vector<float> weights{1, -2, 3.5, 0, 1e-30f, 7};
  const std::vector<int64_t> steps{1ll << 60};
  const std::vector<uint8_t> flags{1, 0, 1};
  const std::vector<double> none;
  const std::map<std::string, std::string> metadata{{"arch", "{\"a\": \"\\u00fc\"}\n"}, {"epoch", "3"}};
  write_safetensors(
      folder / "m",
      {tensor("stages.0.weight", TensorType::f32, {2, 3}, weights), tensor("flags", TensorType::boolean, {3}, flags),
       tensor("step", TensorType::i64, {}, steps), tensor("\"quoted\"", TensorType::f64, {0, 4}, none)},
      metadata);

  const SafetensorsFile file = read_safetensors(folder / "m");

  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), 4u);
  EXPECT_EQ(file.tensors[0].name, "\"quoted\"");  // ordered by name
  EXPECT_EQ(file.find("\"quoted\"")->shape, (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(file.find("stages.0.weight")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(file.find("stages.0.weight")->data, weights.data(), 24), 0);
  EXPECT_EQ(std::memcmp(file.find("step")->data, steps.data(), 8), 0);
  EXPECT_EQ(file.find("flags")->type, TensorType::boolean);
  EXPECT_EQ(read_safetensors_metadata(folder / "m"), metadata);
}

TEST(Safetensors, WritesTheSameBytesForTheSameInputAndAlignsTheData) {
  TestFolder folder;
  const std::vector<float> values{1, 2};
  for (const char* name : {"a", "b"})
    write_safetensors(folder / name, {tensor("w", TensorType::f32, {2}, values)}, {{"x", "1"}});
  const std::string bytes = read_file(folder / "a");
  EXPECT_EQ(bytes, read_file(folder / "b"));
  EXPECT_EQ((bytes.size() - 8) % 8, 0u);
}

TEST(Safetensors, RefusesToWriteWhatDoesNotFit) {
  TestFolder folder;
  const std::vector<float> values{1, 2};
  const auto good = tensor("w", TensorType::f32, {2}, values);
  EXPECT_THROW(write_safetensors(folder / "m", {tensor("w", TensorType::f32, {3}, values)}, {}), ShapeError);
  EXPECT_THROW(write_safetensors(folder / "m", {good, good}, {}), ShapeError);
  EXPECT_FALSE(std::filesystem::exists(folder / "m"));
}

// Whatever is missing at the end, the answer is an error and never a wrong tensor.
TEST(Safetensors, RefusesAFileCutAtAnyByte) {
  TestFolder folder;
  const std::vector<float> values{1, 2, 3};
  write_safetensors(folder / "m", {tensor("w", TensorType::f32, {3}, values)}, {{"x", "1"}});
  const std::string bytes = read_file(folder / "m");
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(parse_safetensors(std::string_view(bytes).substr(0, length), "m"), CheckpointError) << length;
    replace_file(folder / "cut", std::string_view(bytes).substr(0, length));
    EXPECT_THROW(read_safetensors(folder / "cut"), CheckpointError) << length;
  }
}

TEST(Safetensors, SurvivesEveryFlippedByte) {
  TestFolder folder;
  const std::vector<float> values{1, 2, 3};
  write_safetensors(folder / "m", {tensor("w", TensorType::f32, {3}, values)}, {{"x", "1"}});
  const std::string good = read_file(folder / "m");
  for (size_t at = 0; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      try {
        for (const TensorBytes& t : parse_safetensors(bad, "m").tensors) ASSERT_EQ(t.bytes, 12u);
      } catch (const CheckpointError&) {
        // An error of this kind is the other good answer.
      }
    }
}

TEST(Safetensors, NamesAMissingFile) {
  TestFolder folder;
  EXPECT_THAT(message_of<NotFoundError>([&] { read_safetensors(folder / "none"); }), HasSubstr("none"));
  EXPECT_THAT(message_of<NotFoundError>([&] { read_safetensors(folder.path()); }), HasSubstr("is a folder"));
}

TEST(SafetensorsHeader, RefusesDuplicateKeys) {
  const std::string w = R"("w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_THAT(problem("{" + w + "," + w + "}"), AllOf(HasSubstr("m.safetensors"), HasSubstr("\"w\" appears twice")));
  EXPECT_THAT(problem(R"({"__metadata__":{"k":"1","k":"2"}})"), HasSubstr("\"k\" appears twice"));
  EXPECT_THAT(problem(R"({"w":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
              HasSubstr("dtype twice"));
}

TEST(SafetensorsHeader, RefusesNumbersThatOverflow) {
  const auto with_shape = [](const std::string& shape) {
    return problem(R"({"w":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,4]}})", 4);
  };
  // 2^64 + 1 would be 1 in 64 bits; the product of the second is 2^64 times 4 bytes.
  EXPECT_THAT(with_shape("[18446744073709551617]"), HasSubstr("too large"));
  EXPECT_THAT(with_shape("[4294967296, 4294967296]"), HasSubstr("too large"));
  EXPECT_THAT(with_shape("[9223372036854775809]"), HasSubstr("too large"));
  EXPECT_THAT(with_shape("[-1]"), HasSubstr("negative"));
  EXPECT_THAT(with_shape("[1.0]"), HasSubstr("fraction"));
}

TEST(SafetensorsHeader, RefusesOffsetsThatDoNotTileTheData) {
  const auto two = [](int a0, int a1, int b0, int b1, size_t data) {
    const auto entry = [](const char* name, int from, int to) {
      return "\"" + std::string(name) + "\":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(to - from) +
             "],\"data_offsets\":[" + std::to_string(from) + "," + std::to_string(to) + "]}";
    };
    return problem("{" + entry("a", a0, a1) + "," + entry("b", b0, b1) + "}", data);
  };
  EXPECT_EQ(two(0, 4, 4, 8, 8), "(nothing)");
  EXPECT_THAT(two(0, 4, 3, 8, 8), HasSubstr("overlaps"));
  EXPECT_THAT(two(0, 4, 5, 8, 8), HasSubstr("belong to no tensor"));
  EXPECT_THAT(two(1, 4, 4, 8, 8), HasSubstr("begins at byte 1"));
  EXPECT_THAT(two(0, 4, 4, 8, 9), HasSubstr("after the last tensor"));
  EXPECT_THAT(two(0, 4, 4, 8, 7), HasSubstr("cut off"));
}

TEST(SafetensorsHeader, RefusesShapesThatDoNotMatchTheirBytes) {
  EXPECT_THAT(problem(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}})", 4),
              AllOf(HasSubstr("\"w\""), HasSubstr("[3]"), HasSubstr("needs 12 bytes"), HasSubstr("hold 4")));
  EXPECT_THAT(problem(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4), HasSubstr("ends before"));
  EXPECT_THAT(problem(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4), HasSubstr("expected 2"));
}

TEST(SafetensorsHeader, RefusesWhatIsNotAHeader) {
  EXPECT_THAT(problem("[]"), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(problem("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem("{} x"), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem("{\"\xff\":1}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem(R"({"w":1})"), HasSubstr("expected an object"));
  EXPECT_THAT(problem(R"({"__metadata__":{"k":1}})"), HasSubstr("expected a string"));
  EXPECT_THAT(problem(R"({"w":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})"),
              HasSubstr("list of whole numbers"));
  EXPECT_THAT(problem(R"({"w":{"dtype":"F32","shape":[1]}})"), HasSubstr("no data_offsets"));
  EXPECT_THAT(problem(R"({"w":{"dtype":"F4","shape":[0],"data_offsets":[0,0]}})"), HasSubstr("F4"));
  EXPECT_THAT(problem(R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":1}})"), HasSubstr("unknown field"));
  // Deep nesting must not use up the stack.
  EXPECT_THAT(problem("{\"w\":" + std::string(100000, '[')), HasSubstr("expected an object"));
  EXPECT_EQ(problem("{}"), "(nothing)");
}

TEST(SafetensorsHeader, RefusesALengthThatLies) {
  std::string bytes = file_of("{}");
  bytes[4] = 1;  // 4 GiB more
  EXPECT_THAT(message_of<CheckpointError>([&] { parse_safetensors(bytes, "m"); }), HasSubstr("at most 8 MB"));
  bytes[4] = 0;
  bytes[0] = 9;
  EXPECT_THAT(message_of<CheckpointError>([&] { parse_safetensors(bytes, "m"); }), HasSubstr("cut off"));
  EXPECT_THAT(message_of<CheckpointError>([&] { parse_safetensors("", "m"); }), HasSubstr("empty"));
}

std::string checked_file() {
  const std::vector<float> weights{1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> count{7};
  const auto bytes = [](const auto& values) { return reinterpret_cast<const std::byte*>(values.data()); };
  // Names not in order, and one without any bytes: hashes go by place.
  const std::vector<TensorBytes> tensors{{"w", TensorType::f32, {2, 3}, bytes(weights), 24},
                                         {"none", TensorType::f32, {0}, nullptr, 0},
                                         {"a", TensorType::i64, {1}, bytes(count), 8}};
  std::string out;
  write_safetensors([&](const void* data, size_t size) { out.append(static_cast<const char*>(data), size); }, tensors,
                    with_hashes({{"mfi.format", "x"}}, tensors), "m");
  return out;
}

TEST(SafetensorsHashes, AreReadAgain) {
  const auto file = parse_safetensors(checked_file(), "m");
  EXPECT_EQ(file.metadata.at("mfi.format"), "x");
  EXPECT_EQ(file.find("a")->bytes, 8u);
}

TEST(SafetensorsHashes, NoticeDamageToAnyByte) {
  const auto whole = checked_file();
  for (size_t at = 0; at < whole.size(); ++at)
    for (const int change : {0x01, 0x20, 0x80, 0xff}) {
      auto damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      try {
        const auto file = parse_safetensors(damaged, "m");
        // Only where the hashes' own names are no longer there; who needs them looks whether they are.
        EXPECT_FALSE(file.metadata.contains(kHeaderHash) && file.metadata.contains(kTensorHashes))
            << "byte " << at << " changed by " << change;
      } catch (const CheckpointError&) {
      }
    }
}

TEST(SafetensorsHashes, NameTheTensorThatIsDamaged) {
  auto damaged = checked_file();
  damaged[damaged.size() - 9] ^= 1;  // the last byte of w
  EXPECT_THAT(message_of<CheckpointError>([&] { parse_safetensors(damaged, "m"); }),
              HasSubstr("m: tensor \"w\" is not as it was written"));
}

}  // namespace
}  // namespace mfi
