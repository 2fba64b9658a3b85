#include "mfi/formats/pickle.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {

namespace {
// A ResNet-152 with its optimiser has 40,000 values. The limits keep a hostile file from taking a multiple of its size.
constexpr size_t kMostValues = 300'000;
constexpr size_t kMostOperations = 1'500'000;
constexpr size_t kLongestInteger = 64;  // bytes
constexpr size_t kLongestName = 256;    // of a class; it is put together from texts that may come again and again
}  // namespace

// The stack machine. Named after the operations of Python's pickletools.
class PickleReader {
 public:
  using Kind = PickleValue::Kind;

  PickleReader(std::string_view bytes, const std::string& name, Pickle& into)
      : bytes_(bytes), name_(name), into_(into) {}

  void read() {
    while (step()) {
    }
    into_.root_ = pop();
    into_.size_ = at_;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw CheckpointError(format("%s: not a sound pickle: %s (at byte %zu)", name_.c_str(), what.c_str(), begin_));
  }

  // ---- bytes ----

  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - at_) fail("cut off: it announces more bytes than follow");
    const auto taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view line() {
    const auto end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("cut off in a line of text");
    const auto taken = take(end - at_);
    ++at_;
    return taken;
  }

  template <class T>
  T number_of(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) fail("'" + shortened(text) + "' is not a number");
    return value;
  }

  // ---- values ----

  PickleValue& add(Kind kind) {
    if (into_.values_.size() >= kMostValues) fail(format("it holds more than %zu values", kMostValues));
    auto& value = into_.values_.emplace_back();
    value.kind = kind;
    return value;
  }
  void push(PickleValue& value) { stack_.push_back(&value); }
  void push_integer(Kind kind, int64_t integer) {
    auto& value = add(kind);
    value.integer = integer;
    push(value);
  }
  void push_text(Kind kind, std::string_view text) {
    auto& value = add(kind);
    value.text = text;
    push(value);
  }
  void push_items(Kind kind, std::vector<const PickleValue*> items) {
    auto& value = add(kind);
    value.items = std::move(items);
    push(value);
  }
  void push_global(std::string_view module, std::string_view name) {
    if (module.size() + name.size() > kLongestName) fail("the name of a class has more than 256 letters");
    push_text(Kind::global, std::string(module) + "." + std::string(name));
  }
  void push_object(const PickleValue* callee, const PickleValue* arguments) {
    if (!arguments->is(Kind::tuple) && !arguments->is(Kind::list))
      fail("it calls something with what are no arguments");
    push_items(Kind::object, {callee, arguments, nullptr});
  }

  // ---- stack ----

  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  PickleValue* pop() {
    auto* value = &top();
    stack_.pop_back();
    return value;
  }
  PickleValue& top() {
    if (stack_.size() <= floor()) fail("it takes a value where there is none");
    return *stack_.back();
  }
  std::vector<const PickleValue*> pop_to_mark() {
    if (marks_.empty()) fail("it takes a row of values that never began");
    std::vector<const PickleValue*> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<const PickleValue*> pop_several(size_t count) {
    std::vector<const PickleValue*> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  // What can be appended to like a list, or set like a dict: an object may be of a class derived from either.
  void extend(const std::vector<const PickleValue*>& items, Kind kind) {
    auto& target = top();
    if (!target.is(kind) && !target.is(Kind::object)) fail("it adds to a value that holds no others");
    if (kind == Kind::dict && items.size() % 2 != 0) fail("it sets a key without a value");
    if (kind != Kind::dict && target.is(Kind::object)) return;  // a list's object: its class alone is of interest
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  // ---- memory ----

  void put(uint64_t index) {
    if (index > kMostOperations) fail("it keeps a value under the number " + std::to_string(index));
    if (index >= memo_.size()) memo_.resize(index + 1);
    memo_[index] = &top();
  }
  void get(uint64_t index) {
    if (index >= memo_.size() || !memo_[index]) fail("it recalls a value that it never kept");
    stack_.push_back(memo_[index]);
  }

  // ---- operations that take more than a line ----

  void push_long(std::string_view bytes) {
    if (bytes.size() > kLongestInteger) fail("a whole number of " + std::to_string(bytes.size()) + " bytes");
    if (bytes.size() > sizeof(int64_t)) return push_text(Kind::big_integer, bytes);
    uint64_t value = !bytes.empty() && (bytes.back() & 0x80) ? ~uint64_t{0} : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    push_integer(Kind::integer, static_cast<int64_t>(value));
  }

  // A decimal line; "00" and "01" were truth values before protocol 2.
  void push_decimal(std::string_view text) {
    if (text == "00" || text == "01") return push_integer(Kind::boolean, text == "01");
    if (text.ends_with('L')) text.remove_suffix(1);
    push_integer(Kind::integer, number_of<int64_t>(text));
  }

  void push_quoted(std::string_view text) {
    if (text.size() < 2 || text.front() != text.back() || (text.front() != '\'' && text.front() != '"'))
      fail("a string without quotes");
    push_text(Kind::text, text.substr(1, text.size() - 2));
  }

  void build() {
    const auto* state = pop();
    auto& target = top();
    if (!target.is(Kind::object)) fail("it sets the state of a value that has none");
    target.items[2] = state;
  }

  void stack_global() {
    const auto *name = pop(), *module = pop();
    if (!name->is(Kind::text) || !module->is(Kind::text)) fail("a class whose name is not text");
    push_global(module->text, name->text);
  }

  void instance(const PickleValue* callee, std::vector<const PickleValue*> arguments) {
    auto& tuple = add(Kind::tuple);
    tuple.items = std::move(arguments);
    push_object(callee, &tuple);
  }

  void new_object(bool with_keywords) {
    if (with_keywords) pop();
    const auto *arguments = pop(), *callee = pop();
    push_object(callee, arguments);
  }

  // One operation; false at the end.
  bool step() {
    begin_ = at_;
    if (++operations_ > kMostOperations) fail(format("it has more than %zu operations", kMostOperations));
    if (at_ == bytes_.size()) fail(at_ == 0 ? "it is empty" : "cut off");
    switch (static_cast<unsigned char>(take(1).front())) {
      // clang-format off
      case '.': return false;
      case '(': marks_.push_back(stack_.size()); break;
      case '0': if (stack_.size() == floor() && !marks_.empty()) marks_.pop_back(); else pop(); break;
      case '1': pop_to_mark(); break;
      case '2': stack_.push_back(&top()); break;
      case 0x80: take(1); break;  // protocol
      case 0x95: take(8); break;  // frame: only a hint for reading ahead

      case 'N': push(add(Kind::none)); break;
      case 0x88: push_integer(Kind::boolean, 1); break;
      case 0x89: push_integer(Kind::boolean, 0); break;
      case 'J': push_integer(Kind::integer, number<int32_t>()); break;
      case 'K': push_integer(Kind::integer, number<uint8_t>()); break;
      case 'M': push_integer(Kind::integer, number<uint16_t>()); break;
      case 'I': case 'L': push_decimal(line()); break;
      case 0x8a: push_long(take(number<uint8_t>())); break;
      case 0x8b: push_long(take(number<uint32_t>())); break;
      case 'F': { const auto value = number_of<double>(line()); auto& v = add(Kind::number); v.number = value; push(v); break; }
      case 'G': {
        auto& v = add(Kind::number);
        v.number = std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()));
        push(v);
        break;
      }

      case 'X': push_text(Kind::text, take(number<uint32_t>())); break;
      case 0x8c: push_text(Kind::text, take(number<uint8_t>())); break;
      case 0x8d: push_text(Kind::text, take(number<uint64_t>())); break;
      case 'T': push_text(Kind::text, take(number<uint32_t>())); break;
      case 'U': push_text(Kind::text, take(number<uint8_t>())); break;
      case 'V': push_text(Kind::text, line()); break;
      case 'S': push_quoted(line()); break;
      case 'B': push_text(Kind::bytes, take(number<uint32_t>())); break;
      case 'C': push_text(Kind::bytes, take(number<uint8_t>())); break;
      case 0x8e: case 0x96: push_text(Kind::bytes, take(number<uint64_t>())); break;

      case ']': push(add(Kind::list)); break;
      case ')': push(add(Kind::tuple)); break;
      case '}': push(add(Kind::dict)); break;
      case 0x8f: push(add(Kind::set)); break;
      case 'l': push_items(Kind::list, pop_to_mark()); break;
      case 't': push_items(Kind::tuple, pop_to_mark()); break;
      case 0x91: push_items(Kind::set, pop_to_mark()); break;
      case 0x85: push_items(Kind::tuple, pop_several(1)); break;
      case 0x86: push_items(Kind::tuple, pop_several(2)); break;
      case 0x87: push_items(Kind::tuple, pop_several(3)); break;
      case 'd': { auto items = pop_to_mark(); push(add(Kind::dict)); extend(items, Kind::dict); break; }
      case 'a': extend(pop_several(1), Kind::list); break;
      case 'e': extend(pop_to_mark(), Kind::list); break;
      case 's': extend(pop_several(2), Kind::dict); break;
      case 'u': extend(pop_to_mark(), Kind::dict); break;
      case 0x90: extend(pop_to_mark(), Kind::set); break;

      case 'c': { const auto module = line(); push_global(module, line()); break; }
      case 0x93: stack_global(); break;
      case 'R': case 0x81: new_object(false); break;
      case 0x92: new_object(true); break;
      case 'b': build(); break;
      case 'i': { const auto module = line(); push_global(module, line()); const auto* c = pop(); instance(c, pop_to_mark()); break; }
      case 'o': {
        auto items = pop_to_mark();
        if (items.empty()) fail("an object of no class");
        const auto* callee = items.front();
        items.erase(items.begin());
        instance(callee, std::move(items));
        break;
      }
      case 'Q': push_items(Kind::persistent, pop_several(1)); break;
      case 'P': { push_text(Kind::text, line()); push_items(Kind::persistent, pop_several(1)); break; }

      case 'p': put(number_of<uint64_t>(line())); ++kept_; break;
      case 'q': put(number<uint8_t>()); ++kept_; break;
      case 'r': put(number<uint32_t>()); ++kept_; break;
      case 0x94: put(kept_++); break;
      case 'g': get(number_of<uint64_t>(line())); break;
      case 'h': get(number<uint8_t>()); break;
      case 'j': get(number<uint32_t>()); break;

      default: fail(format("the unknown operation 0x%02x", static_cast<unsigned char>(bytes_[begin_])));
        // clang-format on
    }
    return true;
  }

  std::string_view bytes_;
  const std::string& name_;
  Pickle& into_;
  size_t at_ = 0, begin_ = 0;  // the next byte, and the first one of this operation
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::vector<PickleValue*> memo_;
  size_t kept_ = 0, operations_ = 0;
};

bool PickleValue::is_made_by(std::string_view global) const {
  return is(Kind::object) && callee().is(Kind::global) && callee().text == global;
}

std::vector<std::pair<const PickleValue*, const PickleValue*>> PickleValue::entries() const {
  std::vector<std::pair<const PickleValue*, const PickleValue*>> out;
  if (!is(Kind::dict) && !is(Kind::object)) return out;
  for (size_t i = is(Kind::dict) ? 0 : 3; i + 1 < items.size(); i += 2) out.emplace_back(items[i], items[i + 1]);
  return out;
}

const PickleValue* PickleValue::at(std::string_view key) const {
  const PickleValue* found = nullptr;  // the last one, as in Python
  for (const auto& [k, value] : entries())
    if (k->is(Kind::text) && k->text == key) found = value;
  return found;
}

Pickle::Pickle(std::string_view bytes, const std::string& name) { PickleReader(bytes, name, *this).read(); }

}  // namespace mfi
