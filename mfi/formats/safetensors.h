// The safetensors file format: a JSON header and raw little-endian tensors. No LibTorch here.
//
// Layout (github.com/huggingface/safetensors): 8 bytes header length, header JSON
// {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {string: string}}, data.
//
// The format knows no checksums. mfi's own files carry them as metadata: kTensorHashes and kHeaderHash, XXH3 of 64 bits
// as 16 hexadecimal digits (github.com/Cyan4973/xxHash). Where a file has them, reading checks them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mfi/core/atomic_file.h"

namespace mfi {

enum class TensorType { f64, f32, f16, bf16, f8_e4m3, f8_e5m2, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

/// Bytes of one element.
size_t element_size(TensorType type);

/// A tensor's bytes, borrowed: contiguous, row-major, little-endian.
struct TensorBytes {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  size_t bytes = 0;
};

/// A whole file in memory. `tensors` point into `storage` (the data, without the header) and are
/// ordered by name; a file of another program may hold tensors at odd addresses, so copy elements
/// with memcpy. Moving keeps the pointers valid, copying would not.
struct SafetensorsFile {
  SafetensorsFile() = default;
  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  std::map<std::string, std::string> metadata;
  std::vector<TensorBytes> tensors;
  std::vector<std::byte> storage;

  /// The tensor of that name, or nullptr.
  const TensorBytes* find(const std::string& name) const;
};

/// Metadata: the hash of each tensor's bytes, one behind the other in the order of their place in the file.
inline constexpr const char* kTensorHashes = "mfi.xxh3.tensors";
/// Metadata: the hash of the header's length and text, with these digits as zeros.
inline constexpr const char* kHeaderHash = "mfi.xxh3.header";

/// Reads and checks a file: offsets in range, without overlap or holes, sizes that match shapes, no
/// duplicate keys, hashes that match where there are any; a header of at most 8 MB with at most 50,000 tensors. Throws
/// NotFoundError, or CheckpointError naming file, tensor and what is wrong with it.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// The same for bytes at hand; `name` stands for the file in messages.
SafetensorsFile parse_safetensors(std::string_view bytes, const std::string& name);

/// Only the metadata: reads no further than the header, whose offsets and hash are checked all the same.
std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path);

/// Writes a file by replace-on-success (see core/atomic_file.h). Tensors are laid out in the order
/// given; the same input gives the same bytes. Throws ShapeError when a tensor's bytes do not fit its
/// shape or a name comes twice, and what replace_file throws.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata);

/// With the hashes of these tensors, written in this order, and of their header: then damage to any byte of the file is
/// noticed when it is read.
std::map<std::string, std::string> with_hashes(std::map<std::string, std::string> metadata,
                                               const std::vector<TensorBytes>& tensors);

/// Writes a file's bytes to `sink`; `name` stands for the file in messages. A kHeaderHash in the metadata, whatever it
/// is, becomes that of what is written.
void write_safetensors(const ByteSink& sink, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata, const std::string& name);

}  // namespace mfi
