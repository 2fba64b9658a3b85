// What a file of some bytes or MB may cost that is larger inside, or says so: at most twice the file and 64 MB.
//
// Heap memory is counted, and not the process's pages, so that neither other programs nor sanitizers matter.
#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>

#include "fuzz/heap_watch.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/formats/cifar_binary.h"
#include "mfi/formats/file_tree.h"
#include "mfi/formats/onnx_file.h"
#include "mfi/formats/pickle_words.h"
#include "mfi/formats/picture.h"
#include "mfi/formats/safetensors.h"
#include "mfi/formats/torch_file.h"

namespace mfi {
namespace {

using testing::HasSubstr;

constexpr size_t kFree = 64'000'000;

/// The message of the error that reading `bytes` ends with; fails where it took too much memory or was an error of
/// ours.
std::string refusal(const std::string& bytes, const std::function<void(const std::string& bytes)>& read) {
  const fuzz::HeapWatch heap;
  std::string message = "(nothing)";
  try {
    read(bytes);
  } catch (const Error& error) {
    message = error.what();
    EXPECT_NE(error.exit_code(), ExitCode::internal);
  }
  // The bytes themselves are the other half of twice the file.
  EXPECT_LE(heap.peak(), bytes.size() + kFree) << message;
  return message;
}

/// The same for what reads by path.
std::string refusal_of_file(const std::filesystem::path& path, const std::function<void()>& read) {
  return refusal(std::string(std::filesystem::file_size(path), '\0'), [&](const std::string&) { read(); });
}

std::string picture(const std::string& name) {
  return read_file(std::filesystem::path(MFI_SOURCE_DIR) / "mfi/formats/testdata" / name);
}

void put_big_endian(std::string& bytes, size_t at, uint64_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) bytes[at + i] = static_cast<char>(value >> 8 * (count - 1 - i));
}

/// A picture that says to have another size.
std::string png_of(uint32_t side) {
  auto bytes = picture("grey.png");
  put_big_endian(bytes, 16, side, 4);
  put_big_endian(bytes, 20, side, 4);
  uint32_t sum = ~0u;  // the header's checksum, CRC-32
  for (size_t i = 12; i < 29; ++i) {
    sum ^= static_cast<unsigned char>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320u : 0);
  }
  put_big_endian(bytes, 29, ~sum, 4);
  return bytes;
}
std::string jpeg_of(uint16_t side, const std::string& name = "grey.jpg", const char* frame = "\xFF\xC0") {
  auto bytes = picture(name);
  const auto at = bytes.find(frame);
  put_big_endian(bytes, at + 5, side, 2);
  put_big_endian(bytes, at + 7, side, 2);
  return bytes;
}
std::string webp_of(uint16_t side) {
  auto bytes = picture("lossy.webp");
  const auto at = bytes.find("\x9d\x01\x2a");
  for (const size_t i : {3, 5}) std::memcpy(&bytes[at + i], &side, 2);
  return bytes;
}

TEST(HeapWatch, CountsWhatWasThereAtOnce) {
  const fuzz::HeapWatch heap;
  { const std::string one(10'000'000, 'x'); }
  { const std::string other(10'000'000, 'x'); }
  std::free(std::realloc(std::malloc(1000), 5'000'000));
  EXPECT_GE(heap.peak(), 10'000'000u);
  EXPECT_LT(heap.peak(), 11'000'000u);
}

void decode(const std::string& bytes) { decode_picture(bytes, "p"); }

TEST(BadPictures, OfHugeSizesAreRefusedByTheirHeader) {
  EXPECT_THAT(refusal(png_of(60000), decode), HasSubstr("60000 x 60000 pixels, at most 89 million"));
  EXPECT_THAT(refusal(jpeg_of(60000), decode), HasSubstr("60000 x 60000 pixels, at most 89 million"));
  EXPECT_THAT(refusal(webp_of(16383), decode), HasSubstr("16383 x 16383 pixels, at most 89 million"));
}

TEST(BadPictures, WhoseSizeIsALieTakeNoMemoryForIt) {
  for (const auto& bytes : {png_of(9000), jpeg_of(9000), webp_of(9000)})
    EXPECT_THAT(refusal(bytes, decode), HasSubstr("damaged or cut off"));
}

/// An archive of files that say nothing but zeros.
void write_bomb(const std::filesystem::path& path, bool zip, const std::vector<std::pair<std::string, size_t>>& files) {
  archive* out = archive_write_new();
  if (zip) {
    archive_write_set_format_zip(out);
  } else {
    archive_write_add_filter_gzip(out);
    archive_write_set_format_ustar(out);
  }
  ASSERT_EQ(archive_write_open_filename(out, path.c_str()), ARCHIVE_OK);
  const std::string zeros(1 << 20, '\0');
  for (const auto& [name, size] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(size));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(out, entry);
    for (size_t left = size; left > 0; left -= std::min(left, zeros.size()))
      archive_write_data(out, zeros.data(), std::min(left, zeros.size()));
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
}

TEST(BadArchives, ThatAreBombsAreNotUnpacked) {
  const TestFolder folder;
  for (const bool zip : {false, true}) {
    const auto path = folder / (zip ? "a.zip" : "a.tar.gz");
    write_bomb(path, zip, {{"cat/1.png", 100 << 20}});
    EXPECT_THAT(refusal_of_file(path, [&] { open_file_tree(path); }), HasSubstr("which pictures are not"));
  }
  const auto many = folder / "many.tar.gz";
  std::vector<std::pair<std::string, size_t>> files;
  for (int i = 0; i < 300'000; ++i) files.emplace_back(std::to_string(i), 0);
  write_bomb(many, false, files);
  EXPECT_THAT(refusal_of_file(many, [&] { open_file_tree(many); }), HasSubstr("which pictures are not"));

  const auto model = folder / "model.pt";
  write_bomb(model, true, {{"archive/data.pkl", 100 << 20}});
  EXPECT_THAT(refusal_of_file(model, [&] { read_torch_file(model); }), HasSubstr("larger than itself"));
}

TEST(BadArchives, OfCifarTakeNoMemoryForRecordsThatAreNotThere) {
  const TestFolder folder;
  const auto path = folder / "cifar-10-binary.tar.gz";
  write_bomb(path, false, {{"cifar-10-batches-bin/data_batch_1.bin", 30'730'000}});
  EXPECT_THAT(refusal_of_file(path, [&] { read_cifar_archive(cifar10_layout(), path); }), HasSubstr("it holds no"));
  std::ofstream(folder / "test_batch.bin") << "short";
  EXPECT_THAT(refusal("short", [&](const std::string&) { read_cifar_folder(cifar10_layout(), folder.path()); }),
              HasSubstr("missing"));
}

/// A file of 8 MB that consists of one piece again and again.
std::string repeated(const std::string& piece, size_t bytes = 7'500'000) {
  std::string out;
  while (out.size() + piece.size() < bytes) out += piece;
  return out;
}

TEST(BadModels, OfManyTinyPartsTakeNoMultipleOfTheirSize) {
  const auto safetensors = [](const std::string& header) {
    const uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + header;
  };
  const auto read = [](const std::string& bytes) { parse_safetensors(bytes, "m"); };
  std::string tensors = "{", metadata = "{\"__metadata__\":{", sides = "{\"a\":{\"dtype\":\"U8\",\"shape\":[";
  for (int i = 0; tensors.size() < 7'500'000; ++i)
    tensors += "\"" + std::to_string(i) + "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},";
  for (int i = 0; metadata.size() < 7'500'000; ++i) metadata += "\"" + std::to_string(i) + "\":\"\",";
  EXPECT_THAT(refusal(safetensors(tensors), read), HasSubstr("more than 50000 tensors"));
  EXPECT_THAT(refusal(safetensors(metadata), read), HasSubstr("more than 10000 metadata"));
  EXPECT_THAT(refusal(safetensors(sides + repeated("1,")), read), HasSubstr("more than 16 numbers"));
  EXPECT_THAT(refusal(safetensors("{\"a" + repeated("x")), read), HasSubstr("not valid JSON"));

  const auto read_onnx = [](const std::string& bytes) { parse_onnx(bytes, "m"); };
  const auto graph = repeated(std::string("\x0a\x00", 2));  // empty nodes
  std::string header = "\x3a";
  for (size_t n = graph.size(); n > 0; n >>= 7) header += static_cast<char>((n & 127) | (n > 127 ? 128 : 0));
  EXPECT_THAT(refusal(header + graph, read_onnx), HasSubstr("more than 100000"));
}

TEST(BadModels, WhosePicklesShareLongTextsTakeNoMemoryForEachUse) {
  using namespace pickled;
  const auto read = [](const std::string& bytes) { parse_torch_file(bytes, "m"); };
  // What comes before the object in the layout before 1.6, so that no zip is needed.
  const std::string before = std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15) +
                             "\x80\x02M\xe9\x03." + "\x80\x02}.";
  const std::string after = "\x80\x02].";
  const auto text_kept = text(std::string(1'000'000, 'x')) + "q" + std::string(1, '\0');
  const std::string recall = std::string("h\0", 2);
  EXPECT_THAT(
      refusal(before + "\x80\x02" + text_kept + repeated(recall + recall + "\x93" + "0", 1'000'000) + stop() + after,
              read),
      HasSubstr("more than 256 letters"));
  const auto kept = tensor(storage("Float", "0", 1), 0, integer(1), integer(1)) + "q\x01";
  const auto names = "\x80\x02" + text_kept + kept + "}(" + repeated(recall + "h\x01", 400'000) + "u" + stop();
  EXPECT_THAT(refusal(before + names + after, read), HasSubstr("too long"));
}

}  // namespace
}  // namespace mfi
