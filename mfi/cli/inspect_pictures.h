// What a folder of one's own pictures holds, and what is wrong with it.
#pragma once

#include <filesystem>
#include <string>

namespace mfi {

/// Reads every picture; prints classes, sizes, and by name all that are broken, in two classes, or in training and
/// test. sheet: a PNG file to write some of each class to; "": none. Throws DataError at the end when some are broken,
/// and what list_pictures throws.
void inspect_pictures(const std::filesystem::path& place, const std::string& sheet);

}  // namespace mfi
