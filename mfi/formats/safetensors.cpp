#include "mfi/formats/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/formats/xxh3.h"

namespace mfi {

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie in memory");

namespace {

constexpr uint64_t kLengthBytes = 8;
// The format allows 100 MB. A network of 10,000 tensors has 1 MB; in more, a hostile file could take a multiple of
// itself.
constexpr uint64_t kMaxHeaderBytes = 8'000'000;
constexpr size_t kMostTensors = 50'000, kMostMetadata = 10'000, kMostSides = 16;

struct TypeName {
  TensorType type;
  const char* name;
  size_t bytes;
};
constexpr std::array<TypeName, 15> kTypes{{{TensorType::f64, "F64", 8},
                                           {TensorType::f32, "F32", 4},
                                           {TensorType::f16, "F16", 2},
                                           {TensorType::bf16, "BF16", 2},
                                           {TensorType::i64, "I64", 8},
                                           {TensorType::i32, "I32", 4},
                                           {TensorType::i16, "I16", 2},
                                           {TensorType::i8, "I8", 1},
                                           {TensorType::u8, "U8", 1},
                                           {TensorType::boolean, "BOOL", 1},
                                           {TensorType::f8_e4m3, "F8_E4M3", 1},
                                           {TensorType::f8_e5m2, "F8_E5M2", 1},
                                           {TensorType::u64, "U64", 8},
                                           {TensorType::u32, "U32", 4},
                                           {TensorType::u16, "U16", 2}}};

const TypeName& type_entry(TensorType type) {
  for (const TypeName& entry : kTypes)
    if (entry.type == type) return entry;
  throw Error(ExitCode::internal, "safetensors: unknown tensor type");
}

/// Bytes of a tensor of this shape, or nothing when a side is negative or the product overflows.
std::optional<uint64_t> shape_bytes(const std::vector<int64_t>& shape, size_t element_bytes) {
  uint64_t bytes = element_bytes;
  for (const int64_t side : shape)
    if (side < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(side), &bytes)) return std::nullopt;
  return bytes;
}

std::string shape_list(const std::vector<int64_t>& shape) {
  std::vector<std::string> sides;
  for (const int64_t side : shape) sides.push_back(std::to_string(side));
  return "[" + join(sides, ", ") + "]";
}

struct HeaderEntry {
  std::string name;
  std::optional<std::string> type;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::vector<uint64_t>> offsets;
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<HeaderEntry> entries;
};

/// Takes the header apart as it is parsed. nlohmann's own document type keeps the last of two equal
/// keys and turns a whole number that is too large into a float; here both are errors.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  Header header;
  std::string problem;  // what is wrong, once parsing has failed

  bool start_object(std::size_t) override {
    if (place_ == Place::nothing) return enter(Place::top);
    if (place_ == Place::top) return enter(key_ == "__metadata__" ? Place::metadata : Place::tensor);
    return unexpected("an object");
  }

  bool end_object() override {
    if (place_ == Place::tensor) {
      const HeaderEntry& entry = header.entries.back();
      for (const auto& [present, field] :
           {std::pair{entry.type.has_value(), "dtype"}, std::pair{entry.shape.has_value(), "shape"},
            std::pair{entry.offsets.has_value(), "data_offsets"}})
        if (!present) return fail("tensor \"" + shortened(entry.name) + "\" has no " + field);
    }
    place_ = place_ == Place::top ? Place::nothing : Place::top;
    return true;
  }

  bool key(std::string& name) override {
    if (place_ == Place::top) {
      if (!names_.insert(name).second) return fail("the name \"" + shortened(name) + "\" appears twice");
      if (name != "__metadata__") header.entries.push_back({name, {}, {}, {}});
      if (header.entries.size() > kMostTensors)
        return fail("it holds more than " + std::to_string(kMostTensors) + " tensors");
    } else if (place_ == Place::metadata) {
      if (header.metadata.contains(name)) return fail("the metadata key \"" + shortened(name) + "\" appears twice");
      if (header.metadata.size() >= kMostMetadata)
        return fail("it holds more than " + std::to_string(kMostMetadata) + " metadata");
    } else {
      const HeaderEntry& entry = header.entries.back();
      if ((name == "dtype" && entry.type) || (name == "shape" && entry.shape) ||
          (name == "data_offsets" && entry.offsets))
        return fail("tensor \"" + shortened(entry.name) + "\" has " + name + " twice");
      if (name != "dtype" && name != "shape" && name != "data_offsets")
        return fail("tensor \"" + shortened(entry.name) + "\" has the unknown field \"" + shortened(name) + "\"");
    }
    key_ = name;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || key_ == "dtype") return unexpected("a list");
    (key_ == "shape") ? void(header.entries.back().shape.emplace()) : void(header.entries.back().offsets.emplace());
    return enter(Place::list);
  }

  bool end_array() override { return enter(Place::tensor); }

  bool string(std::string& text) override {
    if (place_ == Place::metadata) {
      header.metadata[key_] = text;
    } else if (place_ == Place::tensor && key_ == "dtype") {
      header.entries.back().type = text;
    } else {
      return unexpected("a string");
    }
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::list) return unexpected("a number");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return number_float(0, "");
    const HeaderEntry& entry = header.entries.back();
    if ((key_ == "shape" ? entry.shape->size() : entry.offsets->size()) >= kMostSides)
      return fail("tensor \"" + shortened(entry.name) + "\": " + key_ + " holds more than " +
                  std::to_string(kMostSides) + " numbers");
    if (key_ == "shape")
      header.entries.back().shape->push_back(static_cast<int64_t>(value));
    else
      header.entries.back().offsets->push_back(value);
    return true;
  }

  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const std::string&) override {
    return unexpected("a fraction or a number that is too large");
  }
  bool boolean(bool) override { return unexpected("a truth value"); }
  bool null() override { return unexpected("null"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return fail("its header is not valid JSON (at byte " + std::to_string(position) + " of the header)");
  }

 private:
  enum class Place { nothing, top, metadata, tensor, list };

  bool enter(Place place) {
    place_ = place;
    return true;
  }
  bool fail(const std::string& text) {
    problem = text;
    return false;
  }
  bool unexpected(const std::string& what) {
    switch (place_) {
      case Place::nothing:
        return fail("its header is " + what + ", expected an object");
      case Place::top:
        return fail("\"" + shortened(key_) + "\" in its header is " + what + ", expected an object");
      case Place::metadata:
        return fail("the metadata \"" + shortened(key_) + "\" is " + what + ", expected a string");
      default: {
        const std::string wanted = key_ == "dtype" ? "a string" : "a list of whole numbers";
        return fail("tensor \"" + header.entries.back().name + "\": " + key_ +
                    (place_ == Place::list ? " holds " : " is ") + what + ", expected " + wanted);
      }
    }
  }

  Place place_ = Place::nothing;
  std::string key_;
  std::set<std::string> names_;
};

Header parse_header(std::string_view text, const std::string& file) {
  // The format asks for it, so that the first byte tells a header from other data.
  if (text.empty() || text.front() != '{')
    throw CheckpointError(file + ": not a safetensors file: its header does not begin with '{'");
  HeaderReader reader;
  if (!nlohmann::json::sax_parse(text, &reader)) throw CheckpointError(file + ": " + reader.problem);
  return std::move(reader.header);
}

constexpr size_t kHashDigits = 16;

std::string hash_text(const void* data, size_t bytes) {
  return format("%016llx", static_cast<unsigned long long>(xxh3(data, bytes)));
}

/// Where the digits of a header's hash are in its text; npos when it has none. Quotes within JSON's strings have a
/// backslash before them, so that no other text looks like this.
size_t header_hash_position(std::string_view header) {
  const std::string key = std::string("\"") + kHeaderHash + "\":\"";
  const size_t at = header.find(key);
  return at == std::string_view::npos || at + key.size() + kHashDigits > header.size() ? std::string_view::npos
                                                                                       : at + key.size();
}

std::string header_hash(std::string header, size_t digits_at) {
  header.replace(digits_at, kHashDigits, kHashDigits, '0');
  const uint64_t length = header.size();
  header.insert(0, reinterpret_cast<const char*>(&length), kLengthBytes);
  return hash_text(header.data(), header.size());
}

[[noreturn]] void throw_damaged(const std::string& where) {
  throw CheckpointError(where + " is not as it was written (its checksum differs); the file is damaged");
}

void check_header_hash(std::string_view text, const Header& header, const std::string& file) {
  const auto found = header.metadata.find(kHeaderHash);
  if (found == header.metadata.end()) return;
  const size_t at = header_hash_position(text);
  if (at == std::string_view::npos || found->second.size() != kHashDigits ||
      header_hash(std::string(text), at) != found->second)
    throw_damaged(file + ": its header");
}

void check_tensor_hashes(const std::vector<TensorBytes>& tensors, const Header& header, const std::string& file) {
  const auto found = header.metadata.find(kTensorHashes);
  if (found == header.metadata.end()) return;
  if (found->second.size() != kHashDigits * tensors.size()) throw_damaged(file + ": its list of checksums");
  // mfi writes the header's entries in the order of their data.
  std::map<std::string, size_t> place;
  for (const auto& entry : header.entries) place.emplace(entry.name, place.size());
  for (const auto& tensor : tensors)
    if (found->second.compare(kHashDigits * place.at(tensor.name), kHashDigits, hash_text(tensor.data, tensor.bytes)) !=
        0)
      throw_damaged(file + ": tensor \"" + shortened(tensor.name) + "\"");
}

/// The header's length, checked against the file's size.
uint64_t header_length(const std::byte* first_eight, uint64_t file_bytes, const std::string& file) {
  uint64_t length;
  std::memcpy(&length, first_eight, kLengthBytes);
  if (length > kMaxHeaderBytes)
    throw CheckpointError(file + ": not a safetensors file: it announces a header of " +
                          bytes_text(static_cast<double>(length)) + ", at most 8 MB are read");
  if (length > file_bytes - kLengthBytes)
    throw CheckpointError(file + ": cut off: it announces a header of " + std::to_string(length) + " bytes, but only " +
                          std::to_string(file_bytes - kLengthBytes) + " follow");
  return length;
}

void check_smallest_size(uint64_t file_bytes, const std::string& file) {
  if (file_bytes < kLengthBytes)
    throw CheckpointError(file + ": " + (file_bytes == 0 ? "empty" : "cut off") + ": it has " +
                          std::to_string(file_bytes) + " bytes, a safetensors file has at least 8");
}

/// The tensors of a checked header, ordered by name; `data` may be null when only the check matters.
std::vector<TensorBytes> tensors_of(const Header& header, const std::byte* data, uint64_t data_bytes,
                                    const std::string& file) {
  struct Placed {
    uint64_t begin, end;
    TensorBytes tensor;
  };
  std::vector<Placed> placed;
  for (const HeaderEntry& entry : header.entries) {
    const std::string where = file + ": tensor \"" + shortened(entry.name) + "\": ";
    const auto type =
        std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& t) { return *entry.type == t.name; });
    if (type == kTypes.end())
      throw CheckpointError(where + "its dtype is \"" + shortened(*entry.type) + "\", which mfi does not know");
    const auto bytes = shape_bytes(*entry.shape, type->bytes);
    if (!bytes) throw CheckpointError(where + "its shape " + shape_list(*entry.shape) + " is too large");
    if (entry.offsets->size() != 2)
      throw CheckpointError(where + "data_offsets holds " + std::to_string(entry.offsets->size()) +
                            " numbers, expected 2");
    const uint64_t begin = (*entry.offsets)[0], end = (*entry.offsets)[1];
    if (begin > end) throw CheckpointError(where + "it ends before it begins");
    if (end > data_bytes)
      throw CheckpointError(where + "it ends at byte " + std::to_string(end) + " of the data, but the file has only " +
                            std::to_string(data_bytes) + "; the file may have been cut off");
    if (end - begin != *bytes)
      throw CheckpointError(where + "its shape " + shape_list(*entry.shape) + " of " + *entry.type + " needs " +
                            std::to_string(*bytes) + " bytes, its offsets hold " + std::to_string(end - begin));
    placed.push_back(
        {begin,
         end,
         {entry.name, type->type, *entry.shape, data ? data + begin : nullptr, static_cast<size_t>(*bytes)}});
  }

  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t expected = 0;
  for (const Placed& p : placed) {
    if (p.begin != expected)
      throw CheckpointError(file + ": tensor \"" + shortened(p.tensor.name) + "\": it begins at byte " +
                            std::to_string(p.begin) + " of the data, expected " + std::to_string(expected) +
                            (p.begin < expected ? " (it overlaps another)" : " (bytes that belong to no tensor)"));
    expected = p.end;
  }
  if (expected != data_bytes)
    throw CheckpointError(file + ": " + std::to_string(data_bytes - expected) +
                          " bytes after the last tensor belong to none");

  std::vector<TensorBytes> tensors;
  for (Placed& p : placed) tensors.push_back(std::move(p.tensor));
  std::sort(tensors.begin(), tensors.end(), [](const TensorBytes& a, const TensorBytes& b) { return a.name < b.name; });
  return tensors;
}

/// A file opened for reading whose size is known.
class Input {
 public:
  explicit Input(const std::filesystem::path& path) : name_(path.string()), file_(nullptr, std::fclose) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error))
      throw NotFoundError(name_ + ": is a folder, expected a safetensors file");
    file_.reset(std::fopen(path.c_str(), "rbe"));
    if (!file_) throw NotFoundError(name_ + ": cannot be read: " + std::strerror(errno));
    size_ = std::filesystem::file_size(path, error);
    if (error) throw IoError(name_ + ": reading failed: " + error.message());
  }

  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }

  void read(void* into, size_t bytes) {
    if (std::fread(into, 1, bytes, file_.get()) != bytes)
      throw IoError(name_ + ": reading failed: " +
                    (std::ferror(file_.get()) ? std::strerror(errno) : "it became shorter meanwhile"));
  }

  Header read_header(uint64_t& data_bytes) {
    check_smallest_size(size_, name_);
    std::array<std::byte, kLengthBytes> first;
    read(first.data(), first.size());
    std::string text(header_length(first.data(), size_, name_), '\0');
    read(text.data(), text.size());
    data_bytes = size_ - kLengthBytes - text.size();
    Header header = parse_header(text, name_);
    check_header_hash(text, header, name_);
    return header;
  }

 private:
  std::string name_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  uint64_t size_ = 0;
};

/// A JSON string; the format allows UTF-8 only.
std::string quoted(const std::string& text, const std::string& file) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(ExitCode::internal, file + ": cannot write a name or a metadata text that is not UTF-8");
  }
}

}  // namespace

size_t element_size(TensorType type) { return type_entry(type).bytes; }

const TensorBytes* SafetensorsFile::find(const std::string& name) const {
  const auto found = std::lower_bound(tensors.begin(), tensors.end(), name,
                                      [](const TensorBytes& tensor, const std::string& n) { return tensor.name < n; });
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

SafetensorsFile parse_safetensors(std::string_view bytes, const std::string& name) {
  check_smallest_size(bytes.size(), name);
  const auto* all = reinterpret_cast<const std::byte*>(bytes.data());
  const uint64_t length = header_length(all, bytes.size(), name);
  Header header = parse_header(bytes.substr(kLengthBytes, length), name);
  check_header_hash(bytes.substr(kLengthBytes, length), header, name);
  SafetensorsFile file;
  file.storage.assign(all + kLengthBytes + length, all + bytes.size());
  file.tensors = tensors_of(header, file.storage.data(), file.storage.size(), name);
  check_tensor_hashes(file.tensors, header, name);
  file.metadata = std::move(header.metadata);
  return file;
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  Input input(path);
  uint64_t data_bytes = 0;
  Header header = input.read_header(data_bytes);
  // Checked before memory is taken for the data.
  tensors_of(header, nullptr, data_bytes, input.name());
  SafetensorsFile file;
  file.storage.resize(data_bytes);
  input.read(file.storage.data(), data_bytes);
  file.tensors = tensors_of(header, file.storage.data(), data_bytes, input.name());
  check_tensor_hashes(file.tensors, header, input.name());
  file.metadata = std::move(header.metadata);
  return file;
}

std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path) {
  Input input(path);
  uint64_t data_bytes = 0;
  Header header = input.read_header(data_bytes);
  tensors_of(header, nullptr, data_bytes, input.name());
  return std::move(header.metadata);
}

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  replace_file(path, [&](const ByteSink& sink) { write_safetensors(sink, tensors, metadata, path.string()); });
}

std::map<std::string, std::string> with_hashes(std::map<std::string, std::string> metadata,
                                               const std::vector<TensorBytes>& tensors) {
  std::string& hashes = metadata[kTensorHashes];
  hashes.clear();
  for (const auto& tensor : tensors) hashes += hash_text(tensor.data, tensor.bytes);
  metadata[kHeaderHash] = std::string(kHashDigits, '0');
  return metadata;
}

void write_safetensors(const ByteSink& sink, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata, const std::string& file) {
  std::string header = "{";
  if (!metadata.empty()) {
    std::vector<std::string> items;
    for (const auto& [key, value] : metadata) items.push_back(quoted(key, file) + ":" + quoted(value, file));
    header += "\"__metadata__\":{" + join(items, ",") + "}";
  }
  std::set<std::string> names;
  uint64_t offset = 0;
  for (const TensorBytes& tensor : tensors) {
    const auto bytes = shape_bytes(tensor.shape, element_size(tensor.type));
    if (!bytes || *bytes != tensor.bytes)
      throw ShapeError(file + ": tensor \"" + tensor.name + "\" of shape " + shape_list(tensor.shape) + " comes with " +
                       std::to_string(tensor.bytes) + " bytes");
    if (tensor.name == "__metadata__" || !names.insert(tensor.name).second)
      throw ShapeError(file + ": the tensor name \"" + tensor.name + "\" is taken");
    std::vector<std::string> sides;
    for (const int64_t side : tensor.shape) sides.push_back(std::to_string(side));
    if (header.size() > 1) header += ",";
    header += quoted(tensor.name, file) + ":{\"dtype\":\"" + type_entry(tensor.type).name + "\",\"shape\":[" +
              join(sides, ",") + "],\"data_offsets\":[" + std::to_string(offset) + "," +
              std::to_string(offset + tensor.bytes) + "]}";
    offset += tensor.bytes;
  }
  header += "}";
  // Spaces at the end are allowed; with them the data begin at a multiple of 8 bytes.
  header.append((8 - header.size() % 8) % 8, ' ');
  if (metadata.contains(kHeaderHash))
    if (const size_t at = header_hash_position(header); at != std::string::npos)
      header.replace(at, kHashDigits, header_hash(header, at));

  if (header.size() > kMaxHeaderBytes)
    throw ShapeError(file + ": its names and texts take " + bytes_text(static_cast<double>(header.size())) +
                     ", more than is read again");
  const uint64_t length = header.size();
  sink(&length, kLengthBytes);
  sink(header.data(), header.size());
  for (const TensorBytes& tensor : tensors)
    if (tensor.bytes > 0) sink(tensor.data, tensor.bytes);
}

}  // namespace mfi
