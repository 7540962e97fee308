#ifndef LUTRA_TESTS_GOLDEN_REPLAY_COMMAND_H_
#define LUTRA_TESTS_GOLDEN_REPLAY_COMMAND_H_

#include <ostream>

namespace lutra::golden {

// The program. Returns its exit code: 0 if all cases pass, 1 if any fails or
// there is none, 2 if the command line is wrong.
int RunGoldenReplay(int argc, const char* const* argv, std::ostream& out,
                    std::ostream& err);

}  // namespace lutra::golden

#endif  // LUTRA_TESTS_GOLDEN_REPLAY_COMMAND_H_
