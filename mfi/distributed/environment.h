// Which of several processes this one is, as the launcher that started them says.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace mfi {

/// One process of a training that several share.
struct ProcessPlace {
  int64_t rank = 0, size = 1;    // which one, from 0, of how many
  int64_t local_rank = 0;        // which one on its host, from 0
  std::string address;           // host name or IP address at which the store is found
  int64_t port = 0;              // and its TCP port
  bool store_is_served = false;  // the launcher serves a store there itself; else process 0 does
  std::string prefix;            // keeps attempts of the same launcher apart in its store
  std::string launcher;          // "torchrun", "mpirun" or "srun", for messages
};

/// A variable of the environment, or nothing when it is not set or empty.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// This process's own environment.
Environment process_environment();

/// What the launcher has put into the environment; nothing when the process was started alone, or as the
/// only one.
///
///   RANK, WORLD_SIZE, LOCAL_RANK           torchrun, or by hand; with MASTER_ADDR and MASTER_PORT
///   OMPI_COMM_WORLD_RANK, _SIZE, ...       Open MPI's mpirun
///   PMI_RANK, PMI_SIZE, ...                MPICH's mpirun and its relatives
///   SLURM_PROCID, SLURM_STEP_NUM_TASKS, ... srun
///
/// The first of these that is there counts, since srun and mpirun also start torchrun, and srun mpirun.
/// MASTER_ADDR and MASTER_PORT hold for all of them; without them srun's list of nodes names the host of
/// process 0, mpirun's processes must share a host, and the port follows from the job's number.
/// A batch script of Slurm's, outside srun, is alone.
///
/// Throws UsageError naming the variables when some are missing, are no numbers or contradict each other.
std::optional<ProcessPlace> process_place(const Environment& environment);

/// The first host of a Slurm node list: "n3" of "n3,n4", "gpu-007" of "gpu-[007-012,20],login".
std::string first_host(const std::string& node_list);

}  // namespace mfi
