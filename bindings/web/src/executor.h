/* What sessions run on beside the thread that calls. */
#ifndef LUTRA_BINDINGS_WEB_SRC_EXECUTOR_H_
#define LUTRA_BINDINGS_WEB_SRC_EXECUTOR_H_

#include "lutra.h"

/* The instance's helpers; NULL without any. It lives as long as the instance.
 */
const lutra_executor* LutraWebExecutor(void);

#endif /* LUTRA_BINDINGS_WEB_SRC_EXECUTOR_H_ */
