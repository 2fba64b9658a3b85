#include "mfi/pipeline/progress_writer.h"

#include <algorithm>

namespace mfi {
namespace {

std::vector<std::string> names(const std::vector<const PlannedStep*>& steps) {
  std::vector<std::string> out;
  for (const auto* step : steps) out.push_back(step->name);
  return out;
}

}  // namespace

StepProgressWriter::StepProgressWriter(std::filesystem::path run, bool only, double seconds, Now now)
    : run_(std::move(run)), only_(only), seconds_(seconds), now_(std::move(now)) {}

StepProgressWriter::~StepProgressWriter() {
  // Only over a file of our own: a step that was refused because another process runs it never came to its first batch.
  if (is_written_) write(/*ended=*/true);
}

// A whole run holds the run folder's lock before it tells anything, so no other one can be going on.
void StepProgressWriter::forget_other_runs() {
  if (!only_) remove_progress_file(run_);
}

void StepProgressWriter::on_step_start(const PlannedStep&, const std::vector<const PlannedStep*>& remaining) {
  forget_other_runs();
  remaining_ = names(remaining);
  current_.reset();
  is_written_ = false;
}

void StepProgressWriter::on_step_done(const StepResult& result, bool) {
  forget_other_runs();
  remove_progress_file(run_ / result.step);
  current_.reset();
  is_written_ = false;
}

void StepProgressWriter::on_progress(const Progress& progress) {
  current_ = progress;
  if (!is_written_ || std::chrono::duration<double>(now_() - last_written_).count() >= seconds_) write(/*ended=*/false);
}

void StepProgressWriter::on_epoch(const std::string&, const Metrics&) {
  // The last one: the test that follows tells nothing for a while.
  if (current_ && current_->epoch == current_->epochs) write(/*ended=*/false);
}

void StepProgressWriter::write(bool ended) {
  if (!current_) return;
  last_written_ = now_();
  is_written_ = true;
  write_progress_file(run_ / current_->step, StepProgressFile{*current_, remaining_, ended, Signature::now()});
}

RunProgressWriter::RunProgressWriter(std::filesystem::path run, int64_t jobs) : run_(std::move(run)) {
  content_.jobs = jobs;
}

RunProgressWriter::~RunProgressWriter() {
  if (is_written_ && content_.failed.empty()) remove_progress_file(run_);
}

void RunProgressWriter::on_step_start(const PlannedStep&, const std::vector<const PlannedStep*>& remaining) {
  content_.remaining = names(remaining);
  write();
}

void RunProgressWriter::on_step_done(const StepResult& result, bool) {
  std::erase(content_.remaining, result.step);
  write();
}

void RunProgressWriter::on_step_failed(const std::string& step, const std::string& text) {
  std::erase(content_.remaining, step);
  content_.failed[step] = text;
  write();
}

void RunProgressWriter::write() {
  is_written_ = true;
  content_.by = Signature::now();
  write_progress_file(run_, content_);
}

}  // namespace mfi
