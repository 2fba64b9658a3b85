// Names of files in an archive.
#pragma once

#include <locale.h>

namespace mfi {

/// While this lives, libarchive gives this thread names in UTF-8. In the C locale, in which a program begins, it has
/// none at all to give where an archive says that its names are UTF-8 and they are not ASCII.
class Utf8Names {
 public:
  Utf8Names() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{})) {
    if (utf8_) before_ = ::uselocale(utf8_);
  }
  ~Utf8Names() {
    if (!utf8_) return;
    ::uselocale(before_);
    ::freelocale(utf8_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  locale_t utf8_, before_{};
};

}  // namespace mfi
