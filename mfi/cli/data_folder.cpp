#include <cstdlib>

#include "mfi/cli/commands.h"
#include "mfi/core/error.h"

namespace mfi {

std::filesystem::path data_folder(const std::string& given, const std::string& dataset) {
  if (!given.empty()) return given;
  if (dataset == "sample") return {};  // it comes with mfi
  if (const char* folder = std::getenv("MFI_DATA"); folder && *folder) return folder;
  if (dataset == "pictures" || dataset.empty())
    throw NotFoundError("no folder of pictures: give --data DIR (docs/pictures.md)");
  throw NotFoundError("no data folder for " + dataset + ": give --data DIR or set MFI_DATA; 'mfi data get " + dataset +
                      " --into DIR' downloads it");
}

}  // namespace mfi
