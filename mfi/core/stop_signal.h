// Ending politely on Ctrl-C and on a scheduler's SIGTERM or SIGUSR1.
#pragma once

#include "mfi/core/error.h"

namespace mfi {

/// From now on the first SIGINT, SIGTERM or SIGUSR1 (Slurm's --signal=USR1) only sets a flag; a second one ends the
/// process at once, when it comes half a second later or more.
void install_stop_handlers();

/// The signal by which a stop has been asked for, SIGINT, SIGTERM or SIGUSR1; 0 while there was none.
int stop_asked_for();

/// Throws Error with exit code interrupted or terminated, by the signal: SIGUSR1 counts as SIGTERM.
[[noreturn]] void throw_stopped(int signal);

/// throw_stopped(stop_asked_for()) when a stop has been asked for. Long loops call this between steps; what
/// they have saved by then stays.
void throw_if_stopped();

}  // namespace mfi
