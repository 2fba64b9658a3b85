// Every failure that a user can meet, and the exit code that goes with it.
#pragma once

#include <stdexcept>
#include <string>

namespace mfi {

/// What the process returns; the table in docs/errors.md lists the same codes.
enum class ExitCode : int {
  ok = 0,
  usage = 64,         // unknown command, flag or argument
  bad_data = 65,      // a data file is damaged or not what its name says
  not_found = 66,     // an input file or folder is missing or cannot be read
  lost = 69,          // another process of the same training is gone, or cannot be reached
  internal = 70,      // a defect of mfi itself
  cannot_write = 73,  // an output folder or file cannot be made
  io = 74,            // reading or writing failed half way: disk full, I/O error
  busy = 75,          // another process holds the run folder
  diverged = 76,      // a loss or a weight is no longer finite
  recipe = 78,        // unknown recipe key, or a value out of range
  checkpoint = 79,    // a model file is damaged or of another network
  missed = 80,        // nothing that was found is as small or as good as was asked for
  interrupted = 130,  // SIGINT
  terminated = 143,   // SIGTERM
};

/// Base of all errors. The message says where, what was expected, what came and what to do.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode exit_code() const { return code_; }

 private:
  ExitCode code_;
};

/// What ended the training in another of its processes, and so ends it here too. Threads may still be
/// waiting for that process, so only a sudden exit is sure to end.
class PeerError : public Error {
 public:
  using Error::Error;
};

template <ExitCode Code>
class CodedError : public Error {
 public:
  explicit CodedError(const std::string& message) : Error(Code, message) {}
};

using UsageError = CodedError<ExitCode::usage>;
using DataError = CodedError<ExitCode::bad_data>;
using NotFoundError = CodedError<ExitCode::not_found>;
using ShapeError = CodedError<ExitCode::internal>;
using CannotWriteError = CodedError<ExitCode::cannot_write>;
using IoError = CodedError<ExitCode::io>;
using BusyError = CodedError<ExitCode::busy>;
using DivergedError = CodedError<ExitCode::diverged>;
using RecipeError = CodedError<ExitCode::recipe>;
using CheckpointError = CodedError<ExitCode::checkpoint>;
using MissedError = CodedError<ExitCode::missed>;

}  // namespace mfi
