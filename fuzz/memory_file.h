// A file in memory, for parsers that read by path.
#pragma once

#include <filesystem>
#include <string_view>

namespace mfi::fuzz {

/// A path at which there are these bytes, until the next call. It lies in /proc and may be opened like any other file,
/// without touching a disk; nothing is counted as heap memory.
std::filesystem::path memory_file(std::string_view bytes);

}  // namespace mfi::fuzz
