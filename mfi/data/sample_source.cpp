#include <dlfcn.h>

#include <cstdlib>
#include <sstream>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/data/sources.h"
#include "mfi/formats/picture.h"

namespace mfi {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kTile = 32;

std::vector<std::string> read_class_names(const fs::path& path) {
  std::vector<std::string> names;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (names.empty()) throw DataError(path.string() + ": empty, expected one class name a line");
  return names;
}

Dataset read_sheet(const fs::path& path, const std::vector<std::string>& class_names) {
  const RgbImage sheet = decode_picture(read_file(path), path.string());
  const auto classes = static_cast<int64_t>(class_names.size());
  const int64_t columns = sheet.width / kTile, tiles = columns * (sheet.height / kTile);
  if (sheet.width % kTile != 0 || sheet.height % kTile != 0 || tiles == 0 || tiles % classes != 0)
    throw DataError(path.string() + ": " + std::to_string(sheet.width) + " x " + std::to_string(sheet.height) +
                    " pixels, expected whole tiles of 32 x 32, equally many for each of the " +
                    std::to_string(classes) + " classes; scripts/make_sample.py makes it anew");
  Dataset data;
  data.class_names = class_names;
  data.images = torch::empty({tiles, 3, kTile, kTile}, torch::kUInt8);
  data.labels = torch::arange(tiles, torch::kInt64).floor_divide(tiles / classes);
  uint8_t* next = data.images.data_ptr<uint8_t>();
  for (int64_t tile = 0; tile < tiles; ++tile)
    for (int64_t channel = 0; channel < 3; ++channel)
      for (int64_t y = 0; y < kTile; ++y) {
        const int64_t row = tile / columns * kTile + y, column = tile % columns * kTile;
        const uint8_t* pixel = sheet.pixels.data() + (row * sheet.width + column) * 3 + channel;
        for (int64_t x = 0; x < kTile; ++x) *next++ = pixel[3 * x];
      }
  return data;
}

bool holds_sample(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_regular_file(folder / "train.png", ignored);
}

// libmfi.so, where this is part of it and not of the program.
fs::path own_library() {
  Dl_info info;
  std::error_code error;
  if (dladdr(reinterpret_cast<const void*>(&holds_sample), &info) == 0 || !info.dli_fname) return {};
  const auto file = fs::canonical(info.dli_fname, error);
  return !error && file.filename().string().starts_with("libmfi.so") ? file : fs::path();
}

}  // namespace

fs::path find_sample() {
  std::vector<fs::path> places;
  if (const char* named = std::getenv("MFI_SAMPLE"); named && *named) {
    places = {named};
  } else {
    places = {MFI_SAMPLE_DIR};
    std::error_code error;
    if (const fs::path program = fs::read_symlink("/proc/self/exe", error); !error)
      places.push_back(program.parent_path().parent_path() / "share/mfi/sample");
    if (const auto library = own_library(); !library.empty())  // PREFIX/lib/mfi/libmfi.so
      places.push_back(library.parent_path().parent_path().parent_path() / "share/mfi/sample");
  }
  std::vector<std::string> looked;
  for (const fs::path& place : places) {
    if (holds_sample(place)) return place;
    looked.push_back(place.string());
  }
  throw NotFoundError("sample: not found; looked for train.png in " + join(looked, " and ") +
                      "; name its folder in MFI_SAMPLE, or make it with scripts/make_sample.py");
}

LabelledSets read_sample(const fs::path& folder) {
  const fs::path place = folder.empty() ? find_sample() : folder;
  if (!holds_sample(place))
    throw NotFoundError(place.string() +
                        ": the sample is not there; expected train.png, test.png and classes.txt; "
                        "without --data the sample that comes with mfi is used");
  const std::vector<std::string> names = read_class_names(place / "classes.txt");
  return {place.string(), read_sheet(place / "train.png", names), read_sheet(place / "test.png", names)};
}

}  // namespace mfi
