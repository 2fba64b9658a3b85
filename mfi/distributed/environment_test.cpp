#include "mfi/distributed/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

std::optional<ProcessPlace> place_in(const Variables& variables) {
  return process_place([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

std::string refusal(const Variables& variables) {
  return message_of<UsageError>([&] { place_in(variables); });
}

const Variables kTorchrun{{"RANK", "3"},        {"WORLD_SIZE", "4"},         {"LOCAL_RANK", "1"},
                          {"MASTER_ADDR", "h"}, {"MASTER_PORT", "29500"},    {"LOCAL_WORLD_SIZE", "2"},
                          {"GROUP_RANK", "1"},  {"TORCHELASTIC_RUN_ID", "x"}};

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

TEST(ProcessPlace, IsNoneWithoutALauncher) {
  EXPECT_FALSE(place_in({}));
  EXPECT_FALSE(place_in({{"MASTER_ADDR", "h"}, {"MASTER_PORT", "1"}, {"PATH", "/bin"}}));
}

TEST(ProcessPlace, IsReadAsTorchrunSetsIt) {
  const auto place = place_in(kTorchrun);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 3);
  EXPECT_EQ(place->size, 4);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->address, "h");
  EXPECT_EQ(place->port, 29500);
  EXPECT_FALSE(place->store_is_served);
}

TEST(ProcessPlace, KnowsTheStoreThatTorchrunServes) {
  auto variables = with(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE", "True");
  EXPECT_TRUE(place_in(variables)->store_is_served);
  EXPECT_FALSE(place_in(with(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE", "False"))->store_is_served);
  // An attempt must not meet what the one before it has left in that store.
  EXPECT_NE(place_in(with(variables, "TORCHELASTIC_RESTART_COUNT", "1"))->prefix, place_in(variables)->prefix);
}

TEST(ProcessPlace, IsReadAsSrunSetsIt) {
  const Variables srun{{"SLURM_PROCID", "5"},         {"SLURM_NTASKS", "8"},
                       {"SLURM_STEP_NUM_TASKS", "6"}, {"SLURM_LOCALID", "1"},
                       {"SLURM_JOB_ID", "4711"},      {"SLURM_STEP_ID", "0"},
                       {"SLURM_JOB_NODELIST", "a1"},  {"SLURM_STEP_NODELIST", "gpu-[007-009,12]"}};
  const auto place = place_in(srun);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 5);
  EXPECT_EQ(place->size, 6);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->address, "gpu-007");
  EXPECT_GE(place->port, 15000);
  EXPECT_LT(place->port, 31000);
  EXPECT_EQ(place_in(with(srun, "SLURM_PROCID", "2"))->port, place->port);
  EXPECT_NE(place_in(with(srun, "SLURM_JOB_ID", "4712"))->port, place->port);
  EXPECT_EQ(place_in(with(srun, "MASTER_PORT", "1234"))->port, 1234);
  EXPECT_EQ(place_in(with(srun, "MASTER_ADDR", "head"))->address, "head");
  // PMI's variables, which srun sets as well, name no host.
  EXPECT_EQ(place_in(with(with(srun, "PMI_RANK", "5"), "PMI_SIZE", "6"))->address, "gpu-007");
}

TEST(ProcessPlace, IsReadFromSlurmsNumbersAlone) {
  const auto place =
      place_in({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}, {"SLURM_LOCALID", "1"}, {"MASTER_ADDR", "h"}});
  ASSERT_TRUE(place);
  EXPECT_EQ(place->size, 2);
}

TEST(ProcessPlace, IsNoneInABatchScriptOfSlurms) {
  EXPECT_FALSE(place_in({{"SLURM_JOB_ID", "1"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_LOCALID", "0"}}));
  EXPECT_FALSE(place_in({{"SLURM_JOB_ID", "1"}, {"SLURM_NTASKS", "4"}}));  // salloc's shell
}

TEST(ProcessPlace, IsReadAsMpirunSetsIt) {
  const Variables open_mpi{{"OMPI_COMM_WORLD_RANK", "1"},
                           {"OMPI_COMM_WORLD_SIZE", "2"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                           {"PMIX_NAMESPACE", "prterun-h-1@1"}};
  auto place = place_in(open_mpi);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 1);
  EXPECT_EQ(place->size, 2);
  EXPECT_EQ(place->local_rank, 1);
  EXPECT_EQ(place->address, "127.0.0.1");
  EXPECT_THAT(refusal(with(open_mpi, "OMPI_COMM_WORLD_LOCAL_SIZE", "1")), HasSubstr("MASTER_ADDR must name"));
  // mpirun starts its daemons by srun, whose numbers are then those of the hosts.
  place = place_in(with(with(open_mpi, "SLURM_PROCID", "0"), "SLURM_STEP_NUM_TASKS", "1"));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->rank, 1);

  const Variables mpich{
      {"PMI_RANK", "1"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", "0"}, {"MASTER_ADDR", "h"}, {"MASTER_PORT", "7"}};
  place = place_in(mpich);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->size, 3);
  EXPECT_EQ(place->local_rank, 0);
}

TEST(ProcessPlace, IsNoneForTheOnlyProcess) {
  EXPECT_FALSE(place_in({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}));
  EXPECT_FALSE(place_in({{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"MASTER_ADDR", "h"}, {"MASTER_PORT", "1"}}));
}

TEST(ProcessPlace, RefusesAHalfSetEnvironment) {
  EXPECT_THAT(refusal(without(kTorchrun, "RANK")), HasSubstr("RANK is not set, WORLD_SIZE=4"));
  EXPECT_THAT(refusal(without(kTorchrun, "WORLD_SIZE")), HasSubstr("RANK=3, WORLD_SIZE is not set"));
  EXPECT_THAT(refusal(without(kTorchrun, "MASTER_ADDR")), HasSubstr("MASTER_ADDR is not set"));
  EXPECT_THAT(refusal(without(kTorchrun, "MASTER_PORT")), HasSubstr("MASTER_PORT is not set"));
  EXPECT_THAT(refusal(without(kTorchrun, "LOCAL_RANK")), HasSubstr("LOCAL_RANK is not"));
  EXPECT_THAT(refusal({{"LOCAL_RANK", "0"}}), HasSubstr("RANK is not set, WORLD_SIZE is not set"));
  EXPECT_THAT(refusal({{"OMPI_COMM_WORLD_RANK", "0"}}), HasSubstr("OMPI_COMM_WORLD_SIZE is not set"));
  EXPECT_THAT(refusal({{"PMI_SIZE", "2"}}), HasSubstr("PMI_RANK is not set"));
  EXPECT_THAT(refusal({{"SLURM_PROCID", "0"}}), HasSubstr("SLURM_NTASKS is not set"));
  EXPECT_THAT(refusal({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}}), HasSubstr("MASTER_ADDR"));
}

TEST(ProcessPlace, RefusesContradictions) {
  EXPECT_THAT(refusal(with(kTorchrun, "RANK", "4")), HasSubstr("RANK=4 of 4 processes (WORLD_SIZE); expected 0 to 3"));
  EXPECT_THAT(refusal(with(kTorchrun, "RANK", "-1")), HasSubstr("RANK is '-1', expected a number from 0"));
  EXPECT_THAT(refusal(with(kTorchrun, "WORLD_SIZE", "two")), HasSubstr("WORLD_SIZE is 'two'"));
  EXPECT_THAT(refusal(with(kTorchrun, "MASTER_PORT", "70000")), HasSubstr("expected 1 to 65535"));
  EXPECT_THAT(refusal(with(kTorchrun, "LOCAL_RANK", "9")), HasSubstr("LOCAL_RANK=9 is above RANK=3"));
  auto both = without(kTorchrun, "TORCHELASTIC_RUN_ID");
  both["OMPI_COMM_WORLD_RANK"] = "2";
  EXPECT_THAT(refusal(both), HasSubstr("contradict OMPI_COMM_WORLD_RANK=2"));
}

TEST(FirstHost, IsReadFromEveryFormOfANodeList) {
  EXPECT_EQ(first_host("n1"), "n1");
  EXPECT_EQ(first_host("n3,n4"), "n3");
  EXPECT_EQ(first_host("gpu-[007-012,20],login"), "gpu-007");
  EXPECT_EQ(first_host("gpu[12,20]"), "gpu12");
  EXPECT_EQ(first_host("login,gpu[12,20]"), "login");
  EXPECT_EQ(first_host("n[1-2].cluster.org"), "n1.cluster.org");
  EXPECT_EQ(first_host("rack[1-2]node[03-04]"), "rack1node03");
}

}  // namespace
}  // namespace mfi
