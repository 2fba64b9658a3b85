// Names for stretches of work, as `mfi bench --profile` and LibTorch's profilers show them.
#pragma once

#include <ATen/record_function.h>

/// Names what happens until the end of the enclosing block; at most once in a block. The name, a string or an
/// expression that makes one, is only looked at when somebody records.
#define MFI_OPERATION(name) RECORD_USER_SCOPE(name)
