#include "mfi/formats/torch_file.h"

#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/formats/archive_names.h"
#include "mfi/formats/pickle.h"

namespace mfi {

static_assert(std::endian::native == std::endian::little, "storages are read as they lie in the file");

namespace {

using Kind = PickleValue::Kind;
using Bytes = std::vector<std::byte>;

std::string_view text_of(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// ---- elements ----

struct ElementKind {
  const char* name;  // torch.NAMEStorage
  size_t bytes;
  std::optional<TensorType> type;  // none: mfi has no use for it, but can step over it
  const char* dtype;               // torch.DTYPE
};

constexpr std::array<ElementKind, 19> kElements{{{"Float", 4, TensorType::f32, "float32"},
                                                 {"Half", 2, TensorType::f16, "float16"},
                                                 {"BFloat16", 2, TensorType::bf16, "bfloat16"},
                                                 {"Double", 8, TensorType::f64, "float64"},
                                                 {"Long", 8, TensorType::i64, "int64"},
                                                 {"Int", 4, TensorType::i32, "int32"},
                                                 {"Short", 2, TensorType::i16, "int16"},
                                                 {"Char", 1, TensorType::i8, "int8"},
                                                 {"Byte", 1, TensorType::u8, "uint8"},
                                                 {"Bool", 1, TensorType::boolean, "bool"},
                                                 {"ComplexFloat", 8, {}, "complex64"},
                                                 {"ComplexDouble", 16, {}, "complex128"},
                                                 {"QInt8", 1, {}, "qint8"},
                                                 {"QUInt8", 1, {}, "quint8"},
                                                 {"QInt32", 4, {}, "qint32"},
                                                 {"UInt16", 2, {}, "uint16"},
                                                 {"UInt32", 4, {}, "uint32"},
                                                 {"UInt64", 8, {}, "uint64"},
                                                 {"Float8", 1, {}, "float8_e4m3fn"}}};

// Bytes of whatever type its tensors say.
constexpr ElementKind kUntyped{"Untyped", 1, {}, ""};

// By a class as torch.FloatStorage or torch.cuda.FloatStorage; null for another.
const ElementKind* element_of_storage(std::string_view global) {
  if (global == "torch.storage.UntypedStorage" || global == "torch.UntypedStorage") return &kUntyped;
  for (const auto& element : kElements)
    for (const char* prefix : {"torch.", "torch.cuda."})
      if (global == std::string(prefix) + element.name + "Storage") return &element;
  return nullptr;
}

const ElementKind* element_of_dtype(std::string_view global) {
  for (const auto& element : kElements)
    if (global == std::string("torch.") + element.dtype) return &element;
  return nullptr;
}

// ---- values ----

bool is_sequence(const PickleValue& value) { return value.is(Kind::tuple) || value.is(Kind::list); }

using Entries = std::vector<std::pair<const PickleValue*, const PickleValue*>>;

// As PickleValue::entries, and those that an OrderedDict of Python 2 has among its arguments: ([[key, value], ...],).
Entries entries_of(const PickleValue& value) {
  auto out = value.entries();
  if (!out.empty() || !value.is_made_by("collections.OrderedDict") || value.arguments().items.size() != 1) return out;
  const PickleValue& pairs = *value.arguments().items[0];
  if (!is_sequence(pairs)) return out;
  for (const auto* pair : pairs.items)
    if (is_sequence(*pair) && pair->items.size() == 2) out.emplace_back(pair->items[0], pair->items[1]);
  return out;
}

const PickleValue* find(const PickleValue* dict, std::string_view key) {
  if (!dict) return nullptr;
  for (const auto& [k, value] : entries_of(*dict))
    if (k->is(Kind::text) && k->text == key) return value;
  return nullptr;
}

// Whether there may be tensors in it. Logs of training hold numbers by the hundred thousand.
bool holds_values(const PickleValue& value) {
  return value.is(Kind::list) || value.is(Kind::tuple) || value.is(Kind::dict) || value.is(Kind::object);
}

// What a person would call it.
std::string description(const PickleValue& value) {
  switch (value.kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
    case Kind::integer:
    case Kind::big_integer:
    case Kind::number:
      return "a number";
    case Kind::text:
    case Kind::bytes:
      return "text";
    case Kind::list:
    case Kind::tuple:
    case Kind::set:
      return format("a list of %zu", value.items.size());
    case Kind::dict:
      return format("a dict of %zu", value.items.size() / 2);
    case Kind::global:
      return "the class " + value.text;
    case Kind::persistent:
      return "a storage";
    case Kind::object:
      return value.callee().is(Kind::global) ? "a " + value.callee().text : "an object";
  }
  return "";
}

// A module's own dicts; null where the value is none.
struct ModuleParts {
  const PickleValue *parameters = nullptr, *buffers = nullptr, *modules = nullptr;
  explicit operator bool() const { return parameters && modules; }
};
ModuleParts module_parts(const PickleValue& value) {
  if (!value.is(Kind::object) || !value.state()) return {};
  return {find(value.state(), "_parameters"), find(value.state(), "_buffers"), find(value.state(), "_modules")};
}

// Functions by which PyTorch pickles tensors.
bool makes_a_tensor(const PickleValue& value) {
  if (!value.is(Kind::object) || !value.callee().is(Kind::global)) return false;
  const std::string& function = value.callee().text;
  return function.starts_with("torch._utils._rebuild_") || function.starts_with("torch._tensor._rebuild_") ||
         function == "numpy.core.multiarray._reconstruct" || function == "numpy._core.multiarray._reconstruct";
}

// ---- storages ----

struct Storage {
  const std::byte* data = nullptr;
  uint64_t bytes = 0;
};

// What a storage's identifier says: ("storage", class, key, location, elements) and, before 1.6, a view or None.
struct StorageId {
  std::string type_name, key;
  std::optional<std::pair<int64_t, int64_t>> view;  // first element and number of elements
};

constexpr size_t kLongestKey = 64;  // "17", or an address

std::optional<StorageId> storage_id(const PickleValue& value) {
  if (!value.is(Kind::persistent) || !is_sequence(*value.items[0])) return std::nullopt;
  const auto& items = value.items[0]->items;
  if (items.size() < 5 || !items[0]->is(Kind::text) || items[0]->text != "storage" || !items[1]->is(Kind::global) ||
      items[2]->text.size() > kLongestKey)
    return std::nullopt;
  StorageId id{items[1]->text, items[2]->is(Kind::integer) ? std::to_string(items[2]->integer) : items[2]->text, {}};
  if (items.size() > 5 && is_sequence(*items[5]) && items[5]->items.size() == 3 &&
      items[5]->items[1]->is(Kind::integer) && items[5]->items[2]->is(Kind::integer))
    id.view = {items[5]->items[1]->integer, items[5]->items[2]->integer};
  return id;
}

using Storages = std::map<std::string, Storage>;

// ---- from values to tensors ----

// Walks over a file's values. What it visits is counted: values may contain each other so that walks never end.
class Collector {
 public:
  Collector(const std::string& name, const Storages& storages, TorchFile& into)
      : name_(name), storages_(storages), into_(into) {}

  void collect(const PickleValue& root) {
    walk(root, "", 0);
    for (const auto& [key, value] : entries_of(root)) {
      if (!key->is(Kind::text) || into_.notes.size() >= kMostNotes || key->text.size() > 40) continue;
      if (value->is(Kind::integer)) into_.notes.push_back(key->text + " " + std::to_string(value->integer));
      if (value->is(Kind::number)) into_.notes.push_back(key->text + format(" %g", value->number));
      if (value->is(Kind::text) && value->text.size() <= 40) into_.notes.push_back(key->text + " " + value->text);
    }
  }

 private:
  static constexpr int kDeepest = 32;
  // A ResNet-152 with its optimiser has 4,000. A file's values may share texts and dicts, so that few bytes stand for
  // much work and many long names: these are bounded beside the visits.
  static constexpr int64_t kMostVisits = 100'000, kMostEntries = 20'000'000, kMostLetters = 10'000'000;
  static constexpr size_t kMostNotes = 1000, kMostSides = 16;

  void visit() {
    if (++visits_ > kMostVisits)
      throw CheckpointError(name_ + ": its values are nested too deeply to be weights of a network");
  }
  // Before a dict's entries are gone through, of which PickleValue makes a list.
  void look_through(const PickleValue& dict) {
    entries_ += static_cast<int64_t>(dict.items.size());
    if (entries_ > kMostEntries) throw CheckpointError(name_ + ": its values are too many to be weights of a network");
  }
  // A name that is kept.
  const std::string& kept(const std::string& name) {
    letters_ += static_cast<int64_t>(name.size());
    if (letters_ > kMostLetters)
      throw CheckpointError(name_ + ": its names are too long to be those of a network's parts");
    return name;
  }
  ModuleParts parts_of(const PickleValue& value) {
    if (value.is(Kind::object) && value.state()) look_through(*value.state());
    return module_parts(value);
  }

  // Finds the dicts and modules that hold tensors.
  void walk(const PickleValue& value, const std::string& path, int depth) {
    visit();
    if (depth > kDeepest) return;  // no network's weights; a dict may also hold itself
    const auto at = [&](const std::string& key) { return kept(path.empty() ? key : path + "." + key); };
    if (parts_of(value)) {
      StateDict dict{path, {}};
      add_module(value, "", dict, depth);
      into_.state_dicts.push_back(std::move(dict));
      return;
    }
    StateDict dict{path, {}};
    Entries inner;
    look_through(value);
    for (const auto& entry : entries_of(value)) {
      const auto& [key, item] = entry;
      if (!key->is(Kind::text)) continue;
      if (makes_a_tensor(*item))
        dict.tensors.emplace_back(kept(key->text), tensor(*item));
      else if (holds_values(*item))
        inner.push_back(entry);
    }
    if (!dict.tensors.empty()) into_.state_dicts.push_back(std::move(dict));
    for (const auto& [key, item] : inner) walk(*item, at(key->text), depth + 1);
    if (is_sequence(value))
      for (size_t i = 0; i < value.items.size(); ++i)
        if (holds_values(*value.items[i]) && !makes_a_tensor(*value.items[i]))
          walk(*value.items[i], at(std::to_string(i)), depth + 1);
  }

  void add_module(const PickleValue& value, const std::string& prefix, StateDict& dict, int depth) {
    visit();
    if (depth > kDeepest) throw CheckpointError(name_ + ": its modules are nested too deeply to be those of a network");
    const auto parts = parts_of(value);
    for (const auto* own : {parts.parameters, parts.buffers}) {
      if (!own) continue;
      look_through(*own);
      for (const auto& [key, item] : entries_of(*own))
        if (key->is(Kind::text) && makes_a_tensor(*item))
          dict.tensors.emplace_back(kept(prefix + key->text), tensor(*item));
    }
    if (!parts.modules) return;
    look_through(*parts.modules);
    for (const auto& [key, item] : entries_of(*parts.modules))
      if (key->is(Kind::text)) add_module(*item, kept(prefix + key->text + "."), dict, depth + 1);
  }

  static StoredTensor unreadable(const std::string& problem) {
    StoredTensor out;
    out.problem = problem;
    return out;
  }

  StoredTensor tensor(const PickleValue& made) { return tensor_of(made.callee(), made.arguments().items, 0); }

  StoredTensor tensor_of(const PickleValue& function, const std::vector<const PickleValue*>& arguments, int depth) {
    visit();
    if (depth > kDeepest) return unreadable("it is made of too many others");
    if (!function.is(Kind::global)) return unreadable("it is made by " + description(function));
    const std::string& name = function.text;
    const auto inner = [&](const PickleValue& value) {
      if (!makes_a_tensor(value)) return unreadable("it is made of " + description(value));
      return tensor_of(value.callee(), value.arguments().items, depth + 1);
    };
    if ((name == "torch._utils._rebuild_parameter" || name == "torch._utils._rebuild_parameter_with_state") &&
        !arguments.empty())
      return inner(*arguments[0]);
    if (name == "torch._tensor._rebuild_from_type_v2" && arguments.size() >= 3 && is_sequence(*arguments[2]))
      return tensor_of(*arguments[0], arguments[2]->items, depth + 1);
    const bool third = name == "torch._utils._rebuild_tensor_v3";
    if (!third && name != "torch._utils._rebuild_tensor_v2" && name != "torch._utils._rebuild_tensor")
      return unreadable("it is made by " + name + ", which mfi does not know and does not call");
    if (arguments.size() < (third ? 7u : 4u)) return unreadable("it lacks some of what describes a tensor");

    const auto id = storage_id(*arguments[0]);
    if (!id) return unreadable("it has no storage");
    const auto found = storages_.find(id->key);
    if (found == storages_.end()) return unreadable("its storage '" + id->key + "' is not in the file");
    const Storage& storage = found->second;
    const auto* element = third ? element_of_dtype(arguments[6]->text) : element_of_storage(id->type_name);
    if (!element || !element->type)
      return unreadable("its elements are of type " + shortened(third ? arguments[6]->text : id->type_name) +
                        ", which mfi does not read");
    return view(storage, *element, *id, arguments);
  }

  // The part of a storage that offset, shape and strides describe, checked.
  static StoredTensor view(const Storage& storage, const ElementKind& element, const StorageId& id,
                           const std::vector<const PickleValue*>& arguments) {
    StoredTensor out;
    out.type = *element.type;
    const auto whole_numbers = [](const PickleValue& value, std::vector<int64_t>& into) {
      if (!is_sequence(value) || value.items.size() > kMostSides) return false;
      for (const auto* item : value.items) {
        if (!item->is(Kind::integer) || item->integer < 0) return false;
        into.push_back(item->integer);
      }
      return true;
    };
    if (!arguments[1]->is(Kind::integer) || arguments[1]->integer < 0 || !whole_numbers(*arguments[2], out.shape) ||
        !whole_numbers(*arguments[3], out.strides) || out.shape.size() != out.strides.size())
      return unreadable("its shape is not sound");

    int64_t first = 0, available = static_cast<int64_t>(storage.bytes / element.bytes);
    if (id.view) {
      if (id.view->first < 0 || id.view->second < 0 || id.view->first > available ||
          id.view->second > available - id.view->first)
        return unreadable("it lies outside its storage");
      std::tie(first, available) = *id.view;
    }
    int64_t count = 1, last = arguments[1]->integer;
    bool sound = true;
    for (size_t i = 0; i < out.shape.size(); ++i) {
      int64_t reach = 0;
      sound = sound && !__builtin_mul_overflow(count, out.shape[i], &count) &&
              (out.shape[i] <= 1 || (!__builtin_mul_overflow(out.shape[i] - 1, out.strides[i], &reach) &&
                                     !__builtin_add_overflow(last, reach, &last)));
    }
    // As many elements as it views, so that a few bytes cannot stand for a huge tensor.
    if (sound && count > available && last < available)
      return unreadable("it repeats its elements (expand); save it contiguous");
    if (!sound || count > available || (count > 0 && last >= available))
      return unreadable("it lies outside its storage");
    out.storage = storage.data;
    out.offset = first + arguments[1]->integer;
    return out;
  }

  const std::string& name_;
  const Storages& storages_;
  TorchFile& into_;
  int64_t visits_ = 0, entries_ = 0, letters_ = 0;
};

void finish(const Pickle& pickle, const Storages& storages, const std::string& name, TorchFile& file) {
  Collector(name, storages, file).collect(pickle.root());
  if (file.state_dicts.empty())
    throw CheckpointError(name + ": holds no tensors by name (it is " + description(pickle.root()) +
                          "); expected what torch.save(model.state_dict(), FILE) writes, or a checkpoint around it");
}

// ---- the zip layout ----

using Input = std::unique_ptr<archive, int (*)(archive*)>;

Input new_zip_reader() {
  Input input(archive_read_new(), archive_read_free);
  archive_read_support_format_zip_seekable(input.get());
  return input;
}

[[noreturn]] void throw_damaged_zip(const std::string& name, archive* input, const std::string& where) {
  const char* reason = archive_error_string(input);
  throw CheckpointError(name + ": damaged or cut off" + where + (reason ? std::string(" (") + reason + ")" : ""));
}

constexpr size_t kMostFiles = 100'000;

// Files in the archive by their names. `file_bytes`: what torch.save stores is never larger than the archive.
std::map<std::string, Bytes> read_zip(archive* input, uint64_t file_bytes, const std::string& name) {
  const Utf8Names utf8_names;  // torch.save puts all under the name of the file that it writes
  std::map<std::string, Bytes> files;
  uint64_t total = 0;
  for (;;) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(input, &entry);
    if (status == ARCHIVE_EOF) return files;
    if (status != ARCHIVE_OK) throw_damaged_zip(name, input, ": its table of contents cannot be read");
    const char* raw_name = archive_entry_pathname(entry);
    const std::string path = raw_name ? raw_name : "";
    const auto size = archive_entry_size(entry);
    if (size < 0 || static_cast<uint64_t>(size) > file_bytes || (total += static_cast<uint64_t>(size)) > file_bytes)
      throw CheckpointError(name + ": the files in it are larger than itself; torch.save does not compress");
    Bytes bytes(static_cast<size_t>(size));
    size_t have = 0;
    while (have < bytes.size()) {
      const auto got = archive_read_data(input, bytes.data() + have, bytes.size() - have);
      if (got <= 0) throw_damaged_zip(name, input, ", in " + shortened(path));
      have += static_cast<size_t>(got);
    }
    std::byte more;  // reading on to the end makes libarchive check the sum
    if (archive_read_data(input, &more, 1) != 0) throw_damaged_zip(name, input, ", in " + shortened(path));
    if (files.size() >= kMostFiles)
      throw CheckpointError(name + ": holds more than " + std::to_string(kMostFiles) + " files");
    if (!files.emplace(path, std::move(bytes)).second)
      throw CheckpointError(name + ": holds the file " + shortened(path) + " twice");
  }
}

TorchFile from_zip(std::map<std::string, Bytes> files, const std::string& name) {
  std::string top;
  bool found = false;
  for (const auto& [path, bytes] : files) {
    if (path != "data.pkl" && !path.ends_with("/data.pkl")) continue;
    top = path.substr(0, path.size() - std::string_view("data.pkl").size());
    found = true;
    break;
  }
  if (!found)
    throw CheckpointError(name + ": a zip archive without data.pkl, so not a file of torch.save; unpack it first");
  if (files.contains(top + "constants.pkl"))
    throw CheckpointError(name +
                          ": a TorchScript program (torch.jit.save), which mfi does not run; expected weights: "
                          "torch.save(model.state_dict(), FILE)");
  if (const auto order = files.find(top + "byteorder"); order != files.end() && text_of(order->second) != "little")
    throw CheckpointError(name +
                          ": written on a machine with another byte order; save it again on this kind of machine");

  TorchFile file;
  const Pickle pickle(text_of(files.at(top + "data.pkl")), name + ", data.pkl");
  Storages storages;
  for (const auto& value : pickle.values()) {
    const auto id = storage_id(value);
    if (!id || storages.contains(id->key)) continue;
    const auto stored = files.find(top + "data/" + id->key);
    if (stored == files.end()) continue;
    file.storage.push_back(std::move(stored->second));
    storages[id->key] = {file.storage.back().data(), file.storage.back().size()};
  }
  finish(pickle, storages, name, file);
  return file;
}

// ---- the layout before 1.6 ----

// The number 0x1950a86a20f9469cfc6c, by which such a file begins, as a pickle holds it.
constexpr std::string_view kLegacyMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);

bool is_legacy(std::string_view bytes) {
  const auto magic = bytes.substr(0, 32).find(kLegacyMagic);
  return !bytes.empty() && static_cast<unsigned char>(bytes[0]) == 0x80 && magic != std::string_view::npos;
}

// Four pickles (number, protocol, facts about the machine, the object), the storages' keys, and then the storages in
// that order: each its number of elements and these.
TorchFile from_legacy(Bytes all, const std::string& name) {
  TorchFile file;
  file.storage.push_back(std::move(all));
  const auto bytes = text_of(file.storage.back());
  size_t at = 0;
  const auto next = [&](const char* what) {
    Pickle pickle(bytes.substr(at), name + ", " + what);
    at += pickle.size();
    return pickle;
  };
  next("magic number");
  next("protocol");
  const auto machine = next("facts about the machine");
  if (const auto* little = find(&machine.root(), "little_endian"); little && little->integer == 0)
    throw CheckpointError(name +
                          ": written on a machine with another byte order; save it again on this kind of machine");
  const auto object = next("object");
  const auto keys = next("list of storages");

  std::map<std::string, std::string> types;
  for (const auto& value : object.values())
    if (const auto id = storage_id(value)) types.emplace(id->key, id->type_name);
  Storages storages;
  for (const auto* key : keys.root().items) {
    const std::string where = name + ": storage '" + shortened(key->text) + "'";
    const auto type = types.find(key->text);
    const auto* element = type == types.end() ? nullptr : element_of_storage(type->second);
    if (!element)
      throw CheckpointError(where + (type == types.end() ? " belongs to no tensor" : " is a " + type->second) +
                            ", so its size is not known and what follows cannot be read");
    uint64_t count = 0, size = 0;
    if (bytes.size() - at < sizeof count) throw CheckpointError(where + ": cut off");
    std::memcpy(&count, bytes.data() + at, sizeof count);
    at += sizeof count;
    if (__builtin_mul_overflow(count, element->bytes, &size) || size > bytes.size() - at)
      throw CheckpointError(format("%s: cut off: it announces %llu elements, but only %zu bytes follow", where.c_str(),
                                   static_cast<unsigned long long>(count), bytes.size() - at));
    storages[key->text] = {file.storage.back().data() + at, size};
    at += size;
  }
  finish(object, storages, name, file);
  return file;
}

// ---- either ----

// What a file most likely is when it is none of ours.
std::string likely_kind(std::string_view bytes) {
  const auto begins = [&](std::string_view magic) { return bytes.starts_with(magic); };
  if (bytes.empty()) return "empty";
  if (begins("\x1f\x8b") || begins("BZh") ||
      begins("\xfd"
             "7zXZ"))
    return "a compressed file; unpack it first";
  if (bytes.size() > 262 && bytes.substr(257, 5) == "ustar") return "a tar archive; unpack it first";
  if (begins("\x89HDF")) return "an HDF5 file; mfi reads files of PyTorch and safetensors";
  if (begins("<") || begins("version https://git-lfs")) return "text (a page or a pointer in place of the download?)";
  if (bytes.size() > 9 && bytes[8] == '{') return "a safetensors file by its looks; name it .safetensors";
  if (static_cast<unsigned char>(bytes[0]) == 0x80)
    return "a pickle of Python's own; expected one that torch.save wrote";
  return "neither a zip archive nor a pickle";
}

[[noreturn]] void throw_no_torch_file(std::string_view bytes, const std::string& name) {
  throw CheckpointError(name + ": not a file of PyTorch: " + likely_kind(bytes));
}

constexpr std::string_view kZipMagic("PK\x03\x04", 4);

}  // namespace

TorchFile parse_torch_file(std::string_view bytes, const std::string& name) {
  if (is_legacy(bytes)) {
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    return from_legacy(Bytes(begin, begin + bytes.size()), name);
  }
  if (!bytes.starts_with(kZipMagic)) throw_no_torch_file(bytes, name);
  const auto input = new_zip_reader();
  if (archive_read_open_memory(input.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    throw_damaged_zip(name, input.get(), "");
  return from_zip(read_zip(input.get(), bytes.size(), name), name);
}

TorchFile read_torch_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    throw NotFoundError(name + ": is a folder, expected a file that torch.save wrote");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file) throw NotFoundError(name + ": cannot be read: " + std::strerror(errno));
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw IoError(name + ": reading failed: " + error.message());

  const auto read = [&](size_t count) {
    Bytes bytes(count);
    if (std::fread(bytes.data(), 1, count, file.get()) != count)
      throw IoError(name + ": reading failed: " +
                    (std::ferror(file.get()) ? std::strerror(errno) : "it became shorter meanwhile"));
    return bytes;
  };
  const auto head = read(std::min<uintmax_t>(size, 512));
  if (is_legacy(text_of(head))) {
    std::rewind(file.get());
    return from_legacy(read(size), name);
  }
  if (!text_of(head).starts_with(kZipMagic)) throw_no_torch_file(text_of(head), name);
  // File by file, so that the archive is never in memory beside what is in it.
  const auto input = new_zip_reader();
  if (archive_read_open_filename(input.get(), path.c_str(), 1 << 18) != ARCHIVE_OK)
    throw_damaged_zip(name, input.get(), "");
  return from_zip(read_zip(input.get(), size, name), name);
}

}  // namespace mfi
