#include "mfi/distributed/environment.h"

#include <charconv>
#include <cstdlib>
#include <vector>

#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

// A launcher's names for the same things.
struct Launcher {
  const char* name;
  const char *rank, *size;
  const char* local_rank;            // may be missing from the environment
  const char* local_size;            // likewise; "" when the launcher has none
  std::vector<const char*> job_ids;  // what tells two jobs on one host apart; the first that is set
};

const std::vector<Launcher>& launchers() {
  static const std::vector<Launcher> all{
      {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", {}},
      {"mpirun",
       "OMPI_COMM_WORLD_RANK",
       "OMPI_COMM_WORLD_SIZE",
       "OMPI_COMM_WORLD_LOCAL_RANK",
       "OMPI_COMM_WORLD_LOCAL_SIZE",
       {"PMIX_NAMESPACE", "OMPI_MCA_orte_ess_jobid", "SLURM_JOB_ID"}},
      {"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", {"PMI_ID", "SLURM_JOB_ID"}},
      {"srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "", {"SLURM_JOB_ID"}}};
  return all;
}

std::optional<int64_t> number_in(const Environment& environment, const std::string& name) {
  const auto text = environment(name);
  if (!text) return std::nullopt;
  int64_t value = 0;
  const auto end = std::from_chars(text->data(), text->data() + text->size(), value);
  if (end.ec != std::errc() || end.ptr != text->data() + text->size() || value < 0)
    throw UsageError("environment: " + name + " is '" + *text + "', expected a number from 0");
  return value;
}

// The number of a whole job, by FNV-1a (Fowler, Noll and Vo), as a port below those that the kernel hands
// out itself.
int64_t port_of_job(const std::string& job) {
  uint32_t hash = 2166136261u;
  for (const unsigned char c : job) hash = (hash ^ c) * 16777619u;
  return 15000 + hash % 16000;
}

std::string setting(const Environment& environment, const char* name) {
  const auto value = environment(name);
  return std::string(name) + (value ? "=" + *value : " is not set");
}

// srun's processes carry the number of their step; a batch script is in the job, but in no step.
bool is_in_srun_step(const Environment& environment) {
  return environment("SLURM_STEP_ID") || environment("SLURM_STEPID") || environment("SLURM_STEP_NUM_TASKS") ||
         !environment("SLURM_JOB_ID");
}

void find_store(const Environment& environment, const Launcher& launcher, ProcessPlace& place) {
  const bool by_hand = launcher.job_ids.empty();
  if (const auto address = environment("MASTER_ADDR")) {
    place.address = *address;
  } else if (by_hand) {
    throw UsageError(std::string("environment: ") + setting(environment, launcher.rank) +
                     ", but MASTER_ADDR is not "
                     "set; set it to the host of process 0, or start the processes with torchrun, srun or mpirun");
  } else if (place.launcher == "srun") {
    auto nodes = environment("SLURM_STEP_NODELIST");
    if (!nodes) nodes = environment("SLURM_JOB_NODELIST");
    if (!nodes)
      throw UsageError(
          "environment: srun's SLURM_PROCID is set, but neither SLURM_STEP_NODELIST nor MASTER_ADDR, which say where "
          "process 0 is");
    place.address = first_host(*nodes);
  } else {
    const auto here = number_in(environment, launcher.local_size);
    if (here != place.size)
      throw UsageError(std::string("environment: ") + setting(environment, launcher.local_size) + ", " +
                       setting(environment, launcher.size) +
                       ": the processes may be on several hosts, so MASTER_ADDR must name that of process 0 "
                       "(mpirun -x MASTER_ADDR=HOST, or -genv MASTER_ADDR HOST)");
    place.address = "127.0.0.1";
  }

  if (const auto port = number_in(environment, "MASTER_PORT")) {
    place.port = *port;
  } else if (by_hand) {
    throw UsageError(std::string("environment: ") + setting(environment, launcher.rank) +
                     ", but MASTER_PORT is not set; set it to a free TCP port of the host of process 0");
  } else {
    std::string job;
    for (const auto* name : launcher.job_ids)
      if (job.empty()) job = environment(name).value_or("");
    if (place.launcher == "srun")
      job += "." + environment("SLURM_STEP_ID").value_or(environment("SLURM_STEPID").value_or(""));
    place.port = port_of_job(job);
  }
  if (place.port < 1 || place.port > 65535)
    throw UsageError("environment: MASTER_PORT is " + std::to_string(place.port) + ", expected 1 to 65535");
}

// RANK set by hand beside mpirun, which says otherwise: one of the two is a leftover. torchrun under mpirun
// or srun is no contradiction, it numbers anew.
void refuse_contradictions(const Environment& environment, const Launcher& chosen, const ProcessPlace& place) {
  if (environment("TORCHELASTIC_RUN_ID")) return;
  for (const auto& other : launchers()) {
    if (&other == &chosen || std::string(other.name) != "mpirun") continue;
    const auto rank = number_in(environment, other.rank), size = number_in(environment, other.size);
    if ((rank && *rank != place.rank) || (size && *size != place.size))
      throw UsageError("environment: " + setting(environment, chosen.rank) + ", " + setting(environment, chosen.size) +
                       " contradict " + setting(environment, other.rank) + ", " + setting(environment, other.size) +
                       "; unset those that are left over");
  }
}

std::optional<ProcessPlace> place_by(const Environment& environment, const Launcher& launcher) {
  auto size = number_in(environment, launcher.size);
  ProcessPlace place;
  place.launcher = launcher.name;
  if (place.launcher == "srun") {
    // In a step of fewer tasks than the job has, SLURM_NTASKS may be the job's.
    if (const auto step_size = number_in(environment, "SLURM_STEP_NUM_TASKS")) size = step_size;
    if (!environment(launcher.rank) || !is_in_srun_step(environment)) return std::nullopt;
  }
  const auto rank = number_in(environment, launcher.rank);
  const auto local_rank = number_in(environment, launcher.local_rank);
  if (!rank && !size && !(local_rank && launcher.job_ids.empty())) return std::nullopt;
  if (!rank || !size)
    throw UsageError(std::string("environment: ") + setting(environment, launcher.rank) + ", " +
                     setting(environment, launcher.size) +
                     "; set both, as torchrun, srun and mpirun do, or none to run alone");
  if (*size < 1 || *rank >= *size)
    throw UsageError(std::string("environment: ") + setting(environment, launcher.rank) + " of " +
                     std::to_string(*size) + " processes (" + launcher.size + "); expected 0 to " +
                     std::to_string(std::max<int64_t>(*size, 1) - 1));
  place.rank = *rank;
  place.size = *size;
  refuse_contradictions(environment, launcher, place);
  if (local_rank && *local_rank > *rank)
    throw UsageError(std::string("environment: ") + setting(environment, launcher.local_rank) + " is above " +
                     setting(environment, launcher.rank) + "; a process's number on its host cannot be");
  if (!local_rank && launcher.job_ids.empty() && environment("LOCAL_WORLD_SIZE"))
    throw UsageError("environment: LOCAL_WORLD_SIZE is set, but LOCAL_RANK is not");
  place.local_rank = local_rank.value_or(0);
  if (place.size == 1) return std::nullopt;  // alone, and as if no launcher had been there
  find_store(environment, launcher, place);
  // torchrun's agents mostly keep a store of their own at that address, also for the processes.
  place.store_is_served = launcher.job_ids.empty() && environment("TORCHELASTIC_USE_AGENT_STORE") == "True";
  place.prefix = "mfi/" + environment("TORCHELASTIC_RESTART_COUNT").value_or("0");
  return place;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (!value || !*value) return std::nullopt;
    return value;
  };
}

std::optional<ProcessPlace> process_place(const Environment& environment) {
  for (const auto& launcher : launchers()) {
    // srun speaks PMI itself; it also knows the hosts, which mpirun's PMI variables do not name.
    const auto pmi_rank = environment("PMI_RANK");
    if (launcher.rank == std::string("PMI_RANK") && pmi_rank && pmi_rank == environment("SLURM_PROCID")) continue;
    if (environment(launcher.rank) || environment(launcher.size) ||
        (launcher.job_ids.empty() && environment(launcher.local_rank)))
      return place_by(environment, launcher);
  }
  return std::nullopt;
}

std::string first_host(const std::string& node_list) {
  const auto bracket = node_list.find('[');
  const auto comma = node_list.find(',');
  if (bracket == std::string::npos || comma < bracket) return node_list.substr(0, comma);
  // "a[007-012,20]b": the first number of the list, with its zeros, between what stands around the bracket.
  const auto close = node_list.find(']', bracket);
  const auto number_end = node_list.find_first_of("-,]", bracket);
  const auto next = node_list.find(',', close);
  std::string host = node_list.substr(0, bracket) + node_list.substr(bracket + 1, number_end - bracket - 1);
  if (close != std::string::npos) {
    // A second bracket ("rack[1-2]node[3-4]") is read the same way.
    const auto rest = node_list.substr(close + 1, next == std::string::npos ? next : next - close - 1);
    if (!rest.empty()) host += first_host(node_list.substr(close + 1));
  }
  return host;
}

}  // namespace mfi
