#ifndef LUTRA_TOOLS_CLI_MEMORY_RESERVE_H_
#define LUTRA_TOOLS_CLI_MEMORY_RESERVE_H_

namespace lutra::tools {

// Sets memory aside for the moment when there is no more, so that the command
// ends with an error: destructors of nlohmann's JSON allocate, and what they
// throw ends a process. A first, small part lets what is being destroyed then
// go on; the second is for the way from the exception to main.
void ReserveMemory();

}  // namespace lutra::tools

#endif  // LUTRA_TOOLS_CLI_MEMORY_RESERVE_H_
