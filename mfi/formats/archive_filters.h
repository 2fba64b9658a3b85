// Which compressions of archives are read. No LibTorch here.
#pragma once

#include <archive.h>

namespace mfi {

/// Lets the reader unpack what people compress archives with. libarchive knows more, but for some of that it starts a
/// program (lrzip, grzip, lzop), which no file of somebody else's is to bring about.
inline void support_usual_filters(archive* reader) {
  archive_read_support_filter_gzip(reader);
  archive_read_support_filter_bzip2(reader);
  archive_read_support_filter_xz(reader);
  archive_read_support_filter_zstd(reader);
}

}  // namespace mfi
