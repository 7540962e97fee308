#include "bindings/web/src/executor.h"

const lutra_executor* LutraWebExecutor(void) { return 0; }
