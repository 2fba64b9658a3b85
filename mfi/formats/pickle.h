// Python's pickle format, read as data: nothing in it is ever imported or called. No LibTorch here.
//
// A pickle is a program for a small stack machine (docs.python.org/3/library/pickletools.html). What it would call is
// kept as a value of kind `object`, for the caller to understand or to refuse.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mfi {

struct PickleValue {
  enum class Kind {
    none,
    boolean,      // integer: 0 or 1
    integer,      // integer
    big_integer,  // text: its bytes, little-endian two's complement
    number,       // number
    text,         // text: UTF-8, or bytes of a string of Python 2
    bytes,        // text
    list,         // items
    tuple,        // items
    set,          // items
    dict,         // items: key, value, key, value, ...
    global,       // text: "module.name" of a class or function
    persistent,   // items: [its identifier]; what that means is up to who wrote the file
    object,       // items: [class or function, arguments, state or null, then what was added to it like to a dict]
  };

  Kind kind = Kind::none;
  union {
    int64_t integer = 0;
    double number;
  };
  std::string text;
  std::vector<const PickleValue*> items;

  bool is(Kind k) const { return kind == k; }
  /// Of an object: what would be called, with what (a tuple or list), and what would be set afterwards (null: nothing).
  const PickleValue& callee() const { return *items[0]; }
  const PickleValue& arguments() const { return *items[1]; }
  const PickleValue* state() const { return items[2]; }
  /// Whether it is an object made by this class or function.
  bool is_made_by(std::string_view global) const;

  /// Keys and values of a dict, and of an object that was filled like one; else nothing.
  std::vector<std::pair<const PickleValue*, const PickleValue*>> entries() const;
  /// The value at a text key of such a dict; null where there is none.
  const PickleValue* at(std::string_view key) const;
};

/// Holds all values of a pickle. They may refer to each other in circles.
class Pickle {
 public:
  /// Reads the pickle at the beginning of `bytes`. `name` stands for the file in messages.
  ///
  /// Protocols 0 to 5, without their extension registry and buffers beside the stream. Throws CheckpointError naming
  /// the byte where it is cut off or wrong; also when it holds more than 300,000 values, which no network needs.
  Pickle(std::string_view bytes, const std::string& name);

  const PickleValue& root() const { return *root_; }
  /// Every value, whether the root leads to it or not.
  const std::deque<PickleValue>& values() const { return values_; }
  /// Bytes that it took.
  size_t size() const { return size_; }

 private:
  friend class PickleReader;
  std::deque<PickleValue> values_;
  const PickleValue* root_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mfi
