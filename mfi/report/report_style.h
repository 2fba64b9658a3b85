// How the pages of this room look.
#pragma once

namespace mfi {

/// A style sheet without anything from elsewhere: a light and a dark theme, narrow windows, paper.
const char* report_style();

}  // namespace mfi
