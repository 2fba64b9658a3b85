// The words of which tests write pickles.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace mfi::pickled {

template <class T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string stop() { return "."; }
inline std::string none() { return "N"; }
inline std::string integer(int32_t value) { return "J" + raw(value); }
inline std::string text(const std::string& t) { return "X" + raw(static_cast<uint32_t>(t.size())) + t; }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::string& items) { return "(" + items + "t"; }
/// Keys and values in turn.
inline std::string dict(const std::string& items) { return "}(" + items + "u"; }
inline std::string list(const std::string& items) { return "](" + items + "e"; }
inline std::string call(const std::string& function, const std::string& arguments) {
  return function + tuple(arguments) + "R";
}
inline std::string persistent(const std::string& identifier) { return identifier + "Q"; }

/// A storage's identifier as torch.save writes it.
inline std::string storage(const std::string& type, const std::string& key, int32_t elements,
                           const std::string& view = "") {
  return persistent(
      tuple(text("storage") + global("torch", type + "Storage") + text(key) + text("cpu") + integer(elements) + view));
}

/// A tensor over a storage; shape and strides are tuples.
inline std::string tensor(const std::string& storage, int32_t offset, const std::string& shape,
                          const std::string& strides) {
  return call(global("torch._utils", "_rebuild_tensor_v2"), storage + integer(offset) + tuple(shape) + tuple(strides) +
                                                                "\x89" +
                                                                call(global("collections", "OrderedDict"), ""));
}

}  // namespace mfi::pickled
