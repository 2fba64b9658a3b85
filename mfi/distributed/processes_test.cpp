#include "mfi/distributed/processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "mfi/core/test_folder.h"
#include "mfi/distributed/test_processes.h"

namespace mfi {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;

// Quick to judge, so that the tests are quick; still ten beats.
JoinSettings quick() {
  JoinSettings settings;
  settings.watch = {.beat = milliseconds(100),
                    .limit = milliseconds(1000),
                    .limit_after_failure = milliseconds(600),
                    .patience = milliseconds(1500)};
  return settings;
}

TEST(Processes, AddUpNumbersAndTensors) {
  EXPECT_THAT(run_processes(3,
                            [](Processes& processes) {
                              const auto rank = static_cast<double>(processes.rank());
                              std::vector<double> values{1, rank};
                              processes.sum(values);
                              EXPECT_THAT(values, ElementsAre(3, 3));
                              const auto first = torch::full({5}, rank), second = torch::ones({2});
                              const auto a = processes.sum_later(first), b = processes.sum_later(second);
                              processes.wait(b);
                              processes.wait(a);
                              EXPECT_TRUE(torch::equal(first, torch::full({5}, 3.0)));
                              EXPECT_TRUE(torch::equal(second, torch::full({2}, 3.0)));
                            }),
              ElementsAre(0, 0, 0));
}

TEST(Processes, HandOnTensorsAndTextOfTheFirst) {
  EXPECT_THAT(
      run_processes(
          2,
          [](Processes& processes) {
            const auto rank = processes.rank();
            const auto whole = torch::arange(6).view({2, 3}) + rank;
            const auto scalar = torch::full({}, 0.5 + static_cast<double>(rank), torch::kFloat64);
            const auto strided =
                torch::full({1, 2, 2, 2}, static_cast<double>(rank)).contiguous(torch::MemoryFormat::ChannelsLast);
            processes.broadcast({whole, scalar, strided});
            EXPECT_TRUE(torch::equal(whole, torch::arange(6).view({2, 3})));
            EXPECT_EQ(scalar.item<double>(), 0.5);
            EXPECT_EQ(strided.sum().item<double>(), 0);
            EXPECT_EQ(processes.broadcast(rank == 0 ? "from the first" : ""), "from the first");
            EXPECT_EQ(processes.broadcast(std::string(rank == 0 ? "" : "x")), "");
          }),
      ElementsAre(0, 0));
}

TEST(Processes, RefuseToWorkOnDifferentThings) {
  EXPECT_THAT(run_processes(2,
                            [](Processes& processes) {
                              processes.require_same("the recipe", "a");
                              EXPECT_THAT(message_of<UsageError>([&] {
                                            processes.require_same("the recipe", std::to_string(processes.rank()));
                                          }),
                                          HasSubstr("the recipe is not the same in all 2 processes"));
                            }),
              ElementsAre(0, 0));
}

// A training of three out of which `lost` goes by a signal; the others say `expected`, and again when they
// try to finish.
std::vector<int> lose(int64_t lost, int signal, const std::string& expected) {
  return run_processes(
      3,
      [=](Processes& processes) {
        const auto message = message_of<PeerError>([&] {
          for (int i = 0;; ++i) {
            if (i == 3 && processes.rank() == lost) ::raise(signal);
            std::vector<double> values{1};
            processes.sum(values);
            std::this_thread::sleep_for(milliseconds(20));
          }
        });
        EXPECT_THAT(message, HasSubstr(expected));
        EXPECT_THAT(message, HasSubstr("is lost"));
      },
      quick());
}

TEST(Processes, NameTheOneThatWasKilled) {
  EXPECT_THAT(lose(2, SIGKILL, "process 2 on "), ElementsAre(69, 69, -SIGKILL));
}

TEST(Processes, NameTheFirstThoughItHeldTheStore) {
  EXPECT_THAT(lose(0, SIGKILL, "process 0 on "), ElementsAre(-SIGKILL, 69, 69));
}

TEST(Processes, NameTheOneThatIsFrozen) {
  const auto start = std::chrono::steady_clock::now();
  const auto codes = run_processes(
      3,
      [=](Processes& processes) {
        if (processes.rank() == 1) {
          // Somebody wakes it up when all is over.
          const pid_t frozen = ::getpid();
          if (::fork() == 0) {
            std::this_thread::sleep_for(milliseconds(3500));
            ::kill(frozen, SIGKILL);
            ::_exit(0);
          }
          ::raise(SIGSTOP);
        }
        const auto message = message_of<PeerError>([&] {
          std::vector<double> values{1};
          processes.sum(values);
        });
        EXPECT_THAT(message, HasSubstr("process 1 on "));
        EXPECT_THAT(message, HasSubstr("not heard of for 1 s"));
      },
      quick());
  EXPECT_THAT(codes, ElementsAre(69, -SIGKILL, 69));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(8));
}

TEST(Processes, EndWithTheErrorOfOneOfThem) {
  EXPECT_THAT(run_processes(
                  3,
                  [](Processes& processes) {
                    if (processes.rank() == 1) throw IoError("the disk is full");
                    std::vector<double> values{1};
                    EXPECT_THAT(message_of<PeerError>([&] { processes.sum(values); }),
                                MatchesRegex("process 1 on .*: the disk is full"));
                    throw IoError("as it did");
                  },
                  quick()),
              ElementsAre(74, 74, 74));
}

TEST(Processes, EndByTheLastResortWhenTheMainThreadIsBusy) {
  EXPECT_THAT(run_processes(
                  2,
                  [](Processes& processes) {
                    // Killed by the other one, so that it does not go while that one is still joining.
                    std::vector<double> id{processes.rank() == 1 ? static_cast<double>(::getpid()) : 0};
                    processes.sum(id);
                    if (processes.rank() == 0) ::kill(static_cast<pid_t>(id[0]), SIGKILL);
                    std::this_thread::sleep_for(std::chrono::seconds(20));
                  },
                  quick()),
              ElementsAre(99, -SIGKILL));
}

TEST(Processes, SayWhoHasNotCome) {
  JoinSettings impatient;
  impatient.patience = milliseconds(300);
  const auto join = [&](int64_t rank) {
    return message_of<PeerError>([&] { Processes::join(test_place(rank, 3, free_port()), {}, impatient); });
  };
  EXPECT_THAT(join(0), HasSubstr("of 3 processes these have not come within 0 s: 1, 2"));
  EXPECT_THAT(join(1), HasSubstr("process 0 does not answer at 127.0.0.1, port "));
}

}  // namespace
}  // namespace mfi
