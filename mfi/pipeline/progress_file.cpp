#include "mfi/pipeline/progress_file.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <system_error>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/json_number.h"
#include "mfi/pipeline/progress_json.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

double clock_seconds(clockid_t clock) {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string out;
  std::getline(file, out);
  return out;
}

void add_signature(Json& json, const Signature& by) {
  json["host"] = by.host;
  json["process"] = by.process;
  json["boot"] = by.boot;
  json["uptime"] = by.uptime;
  json["unix_time"] = by.unix_time;
}

Signature signature_from_json(const Json& json) {
  Signature out;
  out.host = json.at("host");
  out.process = json.at("process");
  out.boot = json.at("boot");
  out.uptime = number_from_json(json.at("uptime"));
  out.unix_time = number_from_json(json.at("unix_time"));
  return out;
}

// fopen and not replace_file, which waits for the device.
void replace_quickly(const fs::path& path, const std::string& text) {
  auto part = path;
  part += ".part";
  std::FILE* file = std::fopen(part.c_str(), "we");
  if (!file) return;
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(part.c_str(), path.c_str()) != 0) ::unlink(part.c_str());
}

void write(const fs::path& folder, Json json, const Signature& by) {
  add_signature(json, by);
  replace_quickly(progress_file(folder), json_line(json) + "\n");
}

// Another version's file, a damaged one or one that has just gone is as good as none.
template <class Read>
auto read(const fs::path& folder, const Read& read) -> std::optional<decltype(read(Json()))> {
  try {
    return read(Json::parse(read_file(progress_file(folder))));
  } catch (const Error&) {
  } catch (const nlohmann::json::exception&) {
  }
  return std::nullopt;
}

}  // namespace

Signature Signature::now() {
  // A run lasts longer than a process keeps its host or its boot.
  static const std::string kBoot = boot_id();
  std::array<char, 256> name{};
  Signature out;
  out.host = ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
  out.process = ::getpid();
  out.boot = kBoot;
  out.uptime = clock_seconds(CLOCK_BOOTTIME);
  out.unix_time = clock_seconds(CLOCK_REALTIME);
  return out;
}

std::string Signature::owner() const { return "process " + std::to_string(process) + " on " + host; }

fs::path progress_file(const fs::path& folder) { return folder / "progress.json"; }

void write_progress_file(const fs::path& folder, const StepProgressFile& content) noexcept {
  try {
    auto json = progress_to_json(content.progress);
    json["remaining"] = content.remaining;
    json["ended"] = content.ended;
    write(folder, json, content.by);
  } catch (...) {  // want of memory; see the header
  }
}

void write_progress_file(const fs::path& folder, const RunProgressFile& content) noexcept {
  try {
    write(folder, {{"jobs", content.jobs}, {"remaining", content.remaining}, {"failed", content.failed}}, content.by);
  } catch (...) {
  }
}

void remove_progress_file(const fs::path& folder) noexcept {
  try {
    std::error_code ignored;
    fs::remove(progress_file(folder), ignored);
  } catch (...) {
  }
}

std::optional<StepProgressFile> read_step_progress(const fs::path& folder) {
  return read(folder, [](const Json& json) {
    StepProgressFile out;
    out.progress = progress_from_json(json);
    out.remaining = json.at("remaining").get<std::vector<std::string>>();
    out.ended = json.at("ended");
    out.by = signature_from_json(json);
    return out;
  });
}

std::optional<RunProgressFile> read_run_progress(const fs::path& folder) {
  return read(folder, [](const Json& json) {
    RunProgressFile out;
    out.jobs = json.at("jobs");
    out.remaining = json.at("remaining").get<std::vector<std::string>>();
    out.failed = json.at("failed").get<std::map<std::string, std::string>>();
    out.by = signature_from_json(json);
    return out;
  });
}

}  // namespace mfi
