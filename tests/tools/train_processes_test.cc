// lutra train under mpirun, or where there is no MPI.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/runtime/raw_file.h"
#include "tests/tools/command.h"
#include "tests/tools/train_text.h"

namespace lutra::tools {
namespace {

using ::testing::HasSubstr;

using TrainProcessesTest = TrainTextTest;

// Processes of mpirun and shards of one process are the same run.
TEST_F(TrainProcessesTest, ProcessesShareSteps) {
#ifdef LUTRA_MPIRUN
  if (std::string_view(LUTRA_MPIRUN).empty()) GTEST_SKIP() << "no mpirun";
  // As root, with more processes than processors, and whatever leaks in MPI.
  const std::string mpirun =
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
      "OMPI_MCA_rmaps_base_oversubscribe=1 LSAN_OPTIONS=detect_leaks=0 "
      "OMPI_MCA_btl_vader_single_copy_mechanism=none " LUTRA_MPIRUN " -n ";
  if (std::system((mpirun + "2 true").c_str()) != 0) {
    GTEST_SKIP() << "mpirun cannot start two processes here";
  }
  OutputOf(Train({"--bits", "2", "--shards", "4"}));
  const std::string alone = ReadBytes(Path("out.safetensors"));
  for (const char* processes : {"2", "4"}) {
    std::string call = mpirun;
    call.append(processes).append(" " LUTRA_COMMAND);
    for (const std::string& argument :
         Train({"--bits", "2", "--shards", "4", "--log", Path("log.jsonl"),
                "-o", Path("shared.safetensors")})) {
      call.append(" '").append(argument).append("'");
    }
    const std::string output = Path("output.txt");
    ASSERT_EQ(std::system((call + " > " + output + " 2>&1").c_str()), 0)
        << ReadBytes(output);
    EXPECT_TRUE(ReadBytes(Path("shared.safetensors")) == alone);
    EXPECT_EQ(Log("log.jsonl").size(), 30U);  // one process writes
  }
#else
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  const Outcome outcome = RunLutra(Train({}));
  ::unsetenv("OMPI_COMM_WORLD_SIZE");
  ExpectError(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("built without MPI"));
#endif
}

}  // namespace
}  // namespace lutra::tools
