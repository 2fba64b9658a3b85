// Progress as JSON, in events and in progress files.
#pragma once

#include <nlohmann/json.hpp>

#include "mfi/train/observer.h"

namespace mfi {

/// Members in the order of Progress; accuracy_percent only where there is one. Numbers that are not finite become null.
nlohmann::ordered_json progress_to_json(const Progress& progress);

/// Throws nlohmann::json::exception.
Progress progress_from_json(const nlohmann::ordered_json& json);

/// One line. Text of another program (a file's name) may be in no known encoding; that is no reason to stop.
std::string json_line(const nlohmann::ordered_json& json);

}  // namespace mfi
