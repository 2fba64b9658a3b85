// Numbers in JSON, which has none that are not finite.
#pragma once

#include <limits>
#include <nlohmann/json.hpp>

namespace mfi {

/// A number, or NaN for null, which is what NaN and the infinities are written as. Throws nlohmann::json::exception for
/// anything else.
template <class Json>
double number_from_json(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.template get<double>();
}

}  // namespace mfi
