// Pickles: every value can be looked at.
#include "fuzz/target.h"
#include "mfi/formats/pickle.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  const Pickle pickle(bytes, "input");
  require(pickle.size() > 0 && pickle.size() <= bytes.size(), "a pickle lies within its bytes");
  size_t entries = 0;
  for (const auto& value : pickle.values()) {
    for (const auto* item : value.items)
      require(item != nullptr || value.is(PickleValue::Kind::object), "only an object lacks an item, its state");
    if (value.is(PickleValue::Kind::object)) require(value.items.size() >= 3, "an object has its parts");
    entries += value.entries().size();
    (void)value.is_made_by("collections.OrderedDict");
  }
  require(entries <= 1'500'000, "values are no more than operations");
  (void)pickle.root().at("state_dict");
}

}  // namespace mfi::fuzz
