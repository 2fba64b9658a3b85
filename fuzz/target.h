// What a fuzz target is, and how a run of it is judged. No LibTorch here.
#pragma once

#include <string>
#include <string_view>

namespace mfi::fuzz {

/// What every target defines in its own file: reads `bytes` as a parser's input, uses what came out, and writes it
/// again where mfi can. Throws what the parser throws, and std::logic_error for a property that does not hold.
void parse(std::string_view bytes);

/// Runs the target on `bytes` and says what is wrong with how that ended; "" when nothing is.
///
/// Good are a return, and an mfi::Error of any kind but `internal` whose message is at most 2,000 letters long. Heap
/// memory may grow by as many bytes as came in and 64 MB: with the input itself that is twice the file and 64 MB. Other
/// exceptions pass through.
std::string problem_of(std::string_view bytes);

/// Throws std::logic_error saying `property` unless it holds.
void require(bool holds, const char* property);

}  // namespace mfi::fuzz
