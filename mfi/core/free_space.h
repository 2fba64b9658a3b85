// Whether what is to be written will fit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace mfi {

/// Throws IoError when the file system of `folder` has less than `bytes` for this user; `what` needs them ("step
/// teacher"). Where the file system does not say, nothing happens.
void require_space(const std::filesystem::path& folder, uint64_t bytes, const std::string& what);

}  // namespace mfi
