// Steps that run side by side, one by one, and as jobs of a batch system.
#include <gmock/gmock.h>

#include <iterator>
#include <memory>
#include <regex>

#include "mfi/cli/program.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/text.h"
#include "mfi/pipeline/results.h"

namespace mfi {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// One thread a step, as `--jobs` promises the same bytes for the same number of threads. The controls
// need the teacher alone, so that they run beside the method's own steps.
constexpr const char* kRecipe = R"(
name = "tiny"
[data]
dataset = "sample"
limit = 128
[network]
arch = "resnet20"
width = 4
[runtime]
threads = 1
[teacher]
epochs = 1
batch_size = 64
[map]
epochs = 1
batch_size = 64
[meta]
epochs = 1
batch_size = 64
[incubate]
epochs = 1
batch_size = 64
[hybrid]
epochs = 4
batch_size = 64
[controls]
teacher_longer = true
no_mapping = true
)";

const std::vector<std::string> kSteps{"teacher",    "map",    "meta",           "incubate-1",
                                      "incubate-2", "hybrid", "teacher-longer", "no-mapping"};

// A metrics.csv without what the clock says.
std::string without_times(const std::string& csv) {
  std::istringstream lines(csv);
  std::vector<bool> keep;
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    size_t column = 0;
    for (std::string cell; std::getline(cells, cell, ','); ++column) {
      if (column == keep.size()) keep.push_back(cell != "seconds" && cell != "images_per_second");
      if (keep[column]) out += cell + ",";
    }
    out += "\n";
  }
  return out;
}

// Processes whose command line names this folder.
int processes_of(const fs::path& folder) {
  int out = 0;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string words{std::istreambuf_iterator<char>(file), {}};
    if (words.find(folder.string()) != std::string::npos) ++out;
  }
  return out;
}

// A fresh run, one step after another, for all tests to compare with or to start from a copy of.
class Jobs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (folder_) return;  // the suite of a derived fixture comes here again
    folder_ = std::make_unique<TemporaryFolder>();
    std::ofstream(recipe()) << kRecipe;
    const auto ended = run_program(arguments("whole"));
    ASSERT_EQ(ended.exit_code, 0) << ended.error;
  }
  static fs::path recipe() { return folder_->path() / "tiny.toml"; }
  static fs::path run(const std::string& name) { return folder_->path() / name; }
  static std::vector<std::string> arguments(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> out{"run", recipe(), "--out", run(name)};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  static void copy_whole(const std::string& name, const std::vector<std::string>& without) {
    fs::copy(run("whole"), run(name), fs::copy_options::recursive);
    for (const auto& step : without) fs::remove_all(run(name) / step);
    fs::remove(run(name) / "results.json");
  }
  static void expect_same_models(const std::string& name) {
    for (const auto& step : kSteps)
      EXPECT_TRUE(file_text(run(name) / step / "model.safetensors") ==
                  file_text(run("whole") / step / "model.safetensors"))
          << step;
  }
  static std::vector<std::string> steps_in_results(const std::string& name) {
    std::vector<std::string> out;
    for (const auto& step : read_results(run(name) / "results.json").steps) out.push_back(step.step);
    return out;
  }

  static std::unique_ptr<TemporaryFolder> folder_;
};
std::unique_ptr<TemporaryFolder> Jobs::folder_;

TEST_F(Jobs, SideBySideLeaveTheSameModelsMetricsAndResultsAsOneAfterAnother) {
  const auto ended = run_program(arguments("beside", {"--jobs", "2"}));
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  expect_same_models("beside");
  EXPECT_TRUE(fs::exists(run("beside") / "report.html"));
  for (const auto& step : kSteps) {
    EXPECT_TRUE(file_text(run("beside") / step / "predictions.safetensors") ==
                file_text(run("whole") / step / "predictions.safetensors"));
    EXPECT_EQ(without_times(file_text(run("beside") / step / "metrics.csv")),
              without_times(file_text(run("whole") / step / "metrics.csv")));
  }
  const auto beside = read_results(run("beside") / "results.json"), whole = read_results(run("whole") / "results.json");
  EXPECT_EQ(steps_in_results("beside"), kSteps);
  for (size_t i = 0; i < kSteps.size(); ++i) {
    EXPECT_EQ(beside.steps[i].test_top1_percent, whole.steps[i].test_top1_percent);
    EXPECT_EQ(beside.steps[i].threads, 1);
  }
  EXPECT_EQ(beside.machine, whole.machine);
  // Both steps' own lines are told, by name, and the second started before the first had ended. On one
  // core nothing can run beside another.
  EXPECT_THAT(ended.error, AllOf(HasSubstr("[2/8] map: epoch 1/1"), HasSubstr("[7/8] teacher-longer: epoch 7/7")));
  if (std::thread::hardware_concurrency() > 1) {
    EXPECT_LT(ended.error.find("teacher-longer: resnet20"), ended.error.find("map: done")) << ended.error;
  }
}

TEST_F(Jobs, SideBySideRunOnlyWhatIsNotDone) {
  copy_whole("rest", {"incubate-2", "no-mapping"});
  const auto ended = run_program(arguments("rest", {"--jobs", "2", "--force", "meta"}));
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  for (const auto* step : {"teacher", "map", "incubate-1", "hybrid", "teacher-longer"})
    EXPECT_THAT(ended.error, HasSubstr(std::string(step) + ": already done"));
  for (const auto* step : {"meta", "incubate-2", "no-mapping"})
    EXPECT_THAT(ended.error, HasSubstr(std::string(step) + ": done"));
  expect_same_models("rest");
}

TEST_F(Jobs, SideBySideStopTogetherAndGoOn) {
  copy_whole("stopped", {"teacher-longer", "no-mapping"});
  Program interrupted(arguments("stopped", {"--jobs", "2"}));
  ASSERT_TRUE(interrupted.wait_for(run("stopped") / "teacher-longer/state-a.safetensors"));
  interrupted.send(SIGINT);
  const auto first = interrupted.wait();
  EXPECT_EQ(first.exit_code, 130) << first.error;
  EXPECT_THAT(first.error, HasSubstr("mfi: stopped by Ctrl-C"));
  EXPECT_THAT(first.error, Not(HasSubstr("failed")));
  EXPECT_EQ(processes_of(run("stopped")), 0);

  const auto ended = run_program(arguments("stopped", {"--jobs", "2"}));
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.error, HasSubstr("teacher-longer: going on after "));
  expect_same_models("stopped");
}

TEST_F(Jobs, SideBySideDieWithTheirRunAndGoOn) {
  copy_whole("killed", {"teacher-longer", "no-mapping"});
  Program killed(arguments("killed", {"--jobs", "2"}));
  ASSERT_TRUE(killed.wait_for(run("killed") / "teacher-longer/state-a.safetensors"));
  killed.send(SIGKILL);
  EXPECT_EQ(killed.wait().exit_code, 128 + SIGKILL);

  const auto ended = run_program(arguments("killed", {"--jobs", "2"}));
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_EQ(processes_of(run("killed")), 0);
  expect_same_models("killed");
}

TEST_F(Jobs, SideBySideGoOnWithoutWhatNeedsAFailedStep) {
  copy_whole("failing", {"incubate-1", "incubate-2", "hybrid", "no-mapping"});
  std::ofstream(run("failing") / "incubate-1") << "not a folder";
  const auto failed = run_program(arguments("failing", {"--jobs", "2"}));
  EXPECT_EQ(failed.exit_code, static_cast<int>(ExitCode::cannot_write)) << failed.error;
  EXPECT_THAT(failed.error, HasSubstr("\nmfi: incubate-1: " + (run("failing") / "incubate-1").string()));
  EXPECT_THAT(failed.error, HasSubstr("not run, since they need it: hybrid\n"));
  EXPECT_THAT(steps_in_results("failing"),
              ElementsAre("teacher", "map", "meta", "incubate-2", "teacher-longer", "no-mapping"));

  fs::remove(run("failing") / "incubate-1");
  EXPECT_EQ(run_program(arguments("failing", {"--jobs", "2"})).exit_code, 0);
  expect_same_models("failing");
}

TEST_F(Jobs, OneByOneCanBeRunByProcessesOfTheirOwnAtOnce) {
  copy_whole("apart", {"incubate-1", "incubate-2", "hybrid", "report.html"});
  Program first(arguments("apart", {"--only", "incubate-1"})), second(arguments("apart", {"--only", "incubate-2"}));
  const auto first_ended = first.wait(), second_ended = second.wait();
  EXPECT_EQ(first_ended.exit_code, 0) << first_ended.error;
  EXPECT_EQ(second_ended.exit_code, 0) << second_ended.error;
  EXPECT_THAT(first_ended.error, AllOf(HasSubstr("incubate-1: done"), Not(HasSubstr("incubate-2"))));
  EXPECT_THAT(steps_in_results("apart"),
              ElementsAre("teacher", "map", "meta", "incubate-1", "incubate-2", "teacher-longer", "no-mapping"));
  EXPECT_FALSE(fs::exists(run("apart") / "report.html"));
  EXPECT_EQ(run_program(arguments("apart", {"--only", "hybrid"})).exit_code, 0);
  EXPECT_TRUE(fs::exists(run("apart") / "report.html"));  // by the last of them
  EXPECT_EQ(steps_in_results("apart"), kSteps);
  expect_same_models("apart");
}

TEST_F(Jobs, OneByOneNeedWhatTheyBuildOn) {
  copy_whole("lacking", {"meta"});
  const auto ended = run_program(arguments("lacking", {"--only", "incubate-1"}));
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::not_found));
  EXPECT_THAT(ended.error, HasSubstr("mfi: incubate-1: needs meta, not done in " + run("lacking").string()));
  // The teacher of other settings is another teacher.
  const auto other = run_program(arguments("lacking", {"--only", "map", "--set", "teacher.epochs=2"}));
  EXPECT_EQ(other.exit_code, static_cast<int>(ExitCode::not_found));
  EXPECT_THAT(other.error, HasSubstr("mfi: map: needs teacher, not done in "));
}

/// Another process that holds a lock: what the program's own parent holds would not keep it out.
class Holder {
 public:
  explicit Holder(const fs::path& folder, const LockOptions& options = {}) {
    process_ = fork();
    if (process_ == 0) {
      const RunLock lock(folder, options);
      std::ofstream(folder / "held") << "x";
      for (;;) pause();
    }
    while (!fs::exists(folder / "held")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    fs::remove(folder / "held");
  }
  ~Holder() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

 private:
  pid_t process_ = -1;
};

TEST_F(Jobs, KeepOutOfEachOthersWay) {
  copy_whole("locked", {"hybrid"});
  fs::create_directory(run("locked") / "hybrid");
  const auto expect_busy = [](const std::vector<std::string>& words, const fs::path& folder) {
    const auto ended = run_program(words);
    EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::busy));
    EXPECT_THAT(ended.error, HasSubstr("mfi: " + folder.string() + ": in use by process "));
  };
  {
    const Holder whole_run(run("locked"));
    expect_busy(arguments("locked", {"--only", "hybrid"}), run("locked"));
    expect_busy(arguments("locked", {"--jobs", "2"}), run("locked"));
  }
  {
    const Holder another_step(run("locked"), {.shared = true});
    expect_busy(arguments("locked"), run("locked"));
    const Holder same_step(run("locked") / "hybrid");
    expect_busy(arguments("locked", {"--only", "hybrid"}), run("locked") / "hybrid");
  }
}

TEST_F(Jobs, RefuseFlagsThatDoNotGoTogether) {
  const auto expect_usage = [](const std::vector<std::string>& words) {
    EXPECT_EQ(run_program(words).exit_code, static_cast<int>(ExitCode::usage)) << words.back();
  };
  expect_usage(arguments("refused", {"--only", "map", "--jobs", "2"}));
  expect_usage(arguments("refused", {"--only", "map", "--force", "meta"}));
  expect_usage(arguments("refused", {"--only", "mapp"}));
  expect_usage(arguments("refused", {"--jobs", "0"}));
  EXPECT_FALSE(fs::exists(run("refused")));
}

// Stands in for a cluster: a job runs as it is submitted, if all that it waits for has ended well.
constexpr const char* kSbatch = R"(#!/bin/sh
set -eu
queue=$(dirname "$0")/queue
mkdir -p "$queue"
number=$(($(ls "$queue" | wc -l) + 1))
echo "$@" >"$queue/$number"
output=/dev/null
for argument; do
  case $argument in
  --output=*) output=$(printf %s "${argument#--output=}" | sed 's/%%/%/g') ;;
  --dependency=afterok:*)
    for id in $(echo "${argument#*:}" | tr : ' '); do grep -qx ok "$queue/$id"; done ;;
  esac
done
cat >"$queue/../job.sh"
if sh "$queue/../job.sh" >>"$output" 2>&1; then echo ok >>"$queue/$number"; fi
echo "$number;cluster"
)";

class SlurmScript : public Jobs {
 protected:
  static std::vector<std::string> plan(const std::vector<std::string>& more) {
    std::vector<std::string> out{"plan", recipe(), "--no-probe"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
};

// The folder's name has all that a careless script trips over.
TEST_F(SlurmScript, RunsTheWholeRecipe) {
  const std::string name = "it's 100% \"$HOME\" `x`";
  const auto bin = folder_->path() / "bin", script = folder_->path() / "jobs.sh";
  fs::create_directory(bin);
  std::ofstream(bin / "sbatch") << kSbatch;
  fs::permissions(bin / "sbatch", fs::perms::owner_all);
  const auto written = run_program(plan({"--slurm", script, "--out", run(name), "--sbatch=--account=us"}));
  ASSERT_EQ(written.exit_code, 0) << written.error;

  const auto submit = "PATH=\"" + bin.string() + ":$PATH\" sh " + script.string() + " >" + bin.string() + "/log 2>&1";
  ASSERT_EQ(std::system(submit.c_str()), 0) << file_text(bin / "log");
  expect_same_models(name);
  const auto report = run_program({"report", run(name)});
  EXPECT_THAT(file_text(run(name) / "slurm/report.log"), AllOf(Not(IsEmpty()), testing::Eq(report.out)));
  const auto job = [&](int number) { return file_text(bin / "queue" / std::to_string(number)); };
  EXPECT_THAT(job(1), AllOf(HasSubstr("--job-name=tiny-teacher "), Not(HasSubstr("--dependency"))));
  for (const int incubation : {4, 5})
    EXPECT_THAT(job(incubation), HasSubstr(" --dependency=afterok:3:1 ")) << "meta and teacher, not each other";
  EXPECT_THAT(job(6), HasSubstr(" --dependency=afterok:3:4:5 "));
  EXPECT_THAT(job(9), HasSubstr(" --dependency=afterany:6:7:8 "));
  for (int number = 1; number <= 9; ++number)
    EXPECT_THAT(job(number), AllOf(HasSubstr(" --account=us"), HasSubstr(" --cpus-per-task=1 ")));
}

TEST_F(SlurmScript, StopsWhereAJobIsNotTaken) {
  const auto bin = folder_->path() / "refusing", script = folder_->path() / "refused.sh";
  fs::create_directory(bin);
  std::ofstream(bin / "sbatch") << "#!/bin/sh\ncase \"$*\" in *teacher*) echo 17 ;; *) exit 1 ;; esac\n";
  fs::permissions(bin / "sbatch", fs::perms::owner_all);
  ASSERT_EQ(run_program(plan({"--slurm", script, "--out", run("never")})).exit_code, 0);
  const auto submit = "PATH=\"" + bin.string() + ":$PATH\" sh " + script.string() + " >" + bin.string() + "/log 2>&1";
  EXPECT_EQ(WEXITSTATUS(std::system(submit.c_str())), 1);
  EXPECT_THAT(file_text(bin / "log"), HasSubstr("map was not submitted; 'scancel 17' takes back what was"));
}

TEST_F(SlurmScript, IsAScriptThatShellsAndTheirCheckerTake) {
  const auto script = folder_->path() / "checked.sh";
  const auto printed = run_program(plan({"--slurm", "-", "--out", run("a b"), "--sbatch=--comment=it's"}));
  ASSERT_EQ(printed.exit_code, 0) << printed.error;
  EXPECT_THAT(printed.out, testing::StartsWith("#!/bin/sh\n"));
  std::ofstream(script) << printed.out;
  EXPECT_EQ(std::system(("sh -n " + script.string()).c_str()), 0);
  if (std::system("command -v shellcheck >/dev/null") != 0) GTEST_SKIP() << "there is no shellcheck";
  EXPECT_EQ(std::system(("shellcheck " + script.string()).c_str()), 0);
}

TEST_F(SlurmScript, LimitsTimeAndMemoryByThePlansEstimate) {
  const auto printed = run_program({"plan", recipe(), "--slurm", "-"});
  ASSERT_EQ(printed.exit_code, 0) << printed.error;
  // Seconds of training: ten minutes and a little, and at least the dataset beside the program.
  EXPECT_TRUE(std::regex_search(printed.out, std::regex("\nsubmit hybrid .* --time=00:1[12]:00 --mem=[0-9]+M <<")))
      << printed.out;
  const auto without = run_program(plan({"--slurm", "-"}));
  EXPECT_THAT(without.out, Not(HasSubstr("--mem=768M")));
  EXPECT_TRUE(std::regex_search(without.out, std::regex("\nsubmit hybrid \"[^\"]*\" <<")));
}

TEST_F(SlurmScript, HasTheWholePathOfAModelThatIsGivenOnTheCommandLine) {
  ASSERT_EQ(run_program({"run", recipe(), "--out", run("given"), "--only", "teacher"}).exit_code, 0);
  const auto model = fs::path(run("given")) / "teacher/model.safetensors";
  const auto ended = run_program(plan({"--slurm", "-", "--set", "network.model=" + fs::relative(model).string()}));
  ASSERT_EQ(ended.exit_code, 0) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("network.model=" + fs::canonical(model).string()));
}

TEST_F(SlurmScript, NeedsToKnowWhereTheDataLies) {
  const auto ended = run_program(plan({"--slurm", "-", "--set", "data.dataset=cifar-10"}));
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::not_found));
  EXPECT_THAT(ended.error, HasSubstr("--data DIR"));
}

}  // namespace
}  // namespace mfi
