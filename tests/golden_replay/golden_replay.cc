// Replays recorded vectors of folders of any known kind; see --help.

#include <exception>
#include <iostream>

#include "tests/golden_replay/command.h"

int main(int argc, char** argv) {
  try {
    return lutra::golden::RunGoldenReplay(argc, argv, std::cout, std::cerr);
  } catch (const std::exception& error) {  // out of memory
    std::cerr << "golden_replay: error: " << error.what() << std::endl;
    return 1;
  }
}
